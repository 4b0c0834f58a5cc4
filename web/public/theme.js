// Runs before the first paint, so that the page never flashes the other theme. Same key as src/url/theme.svelte.ts.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("tailrace-theme");
  } catch {
    // Storage may be forbidden; the page then follows the system.
  }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
