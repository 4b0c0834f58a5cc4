// Light, dark, or what the system says. The colours themselves are CSS custom properties; charts read them from there.

export type Choice = "auto" | "light" | "dark";

const KEY = "tailrace-theme";

function stored(): Choice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

class Theme {
  choice = $state<Choice>(stored());
  #systemDark = $state(false);

  constructor() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    this.#systemDark = system.matches;
    system.addEventListener("change", () => {
      this.#systemDark = system.matches;
      this.#apply();
    });
    this.#apply();
  }

  get resolved(): "light" | "dark" {
    if (this.choice !== "auto") return this.choice;
    return this.#systemDark ? "dark" : "light";
  }

  choose(choice: Choice): void {
    this.choice = choice;
    this.#apply();
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // Storage may be forbidden; the choice then holds for this page only.
    }
  }

  #apply(): void {
    document.documentElement.dataset["theme"] = this.resolved;
  }
}

export const theme = new Theme();
