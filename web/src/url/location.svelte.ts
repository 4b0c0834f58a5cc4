// What the address bar says: the view, the time range, the moment looked at. A copied link shows the same page.

export const RANGES = ["5m", "15m", "1h", "6h"] as const;
export type Range = (typeof RANGES)[number];
export type Page = "overview" | "pipeline";

/** What makes an endpoint stand among the first twenty. */
export const RANKS = ["busiest", "slowest", "errors"] as const;
export type Rank = (typeof RANKS)[number];

interface Change {
  readonly page?: Page;
  readonly range?: Range;
  readonly rank?: Rank;
  readonly at?: number | null;
}

const RANGE_MS: Readonly<Record<Range, number>> = { "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000 };

export function rangeMs(range: Range): number {
  return RANGE_MS[range];
}

export function rangeWords(range: Range): string {
  return { "5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "6h": "6 hours" }[range];
}

class Location {
  page = $state<Page>("overview");
  range = $state<Range>("5m");
  rank = $state<Rank>("busiest");
  /** An instant (epoch ms) to look at instead of now; null is live. */
  at = $state<number | null>(null);

  constructor() {
    this.#read();
    addEventListener("popstate", () => this.#read());
  }

  /** The address with some parts changed; for links. */
  href(change: Change): string {
    const page = change.page ?? this.page;
    const range = change.range ?? this.range;
    const at = change.at === undefined ? this.at : change.at;
    const query = new URLSearchParams();
    if (page !== "overview") query.set("page", page);
    if (range !== "5m") query.set("range", range);
    const rank = change.rank ?? this.rank;
    if (rank !== "busiest") query.set("rank", rank);
    if (at !== null) query.set("at", new Date(at).toISOString());
    const text = query.toString();
    return text === "" ? "./" : `./?${text.replaceAll("%3A", ":")}`;
  }

  go(change: Change): void {
    history.pushState(null, "", this.href(change));
    this.#read();
  }

  #read(): void {
    const query = new URLSearchParams(location.search);
    this.page = query.get("page") === "pipeline" ? "pipeline" : "overview";
    const range = query.get("range");
    this.range = RANGES.find((known) => known === range) ?? "5m";
    const rank = query.get("rank");
    this.rank = RANKS.find((known) => known === rank) ?? "busiest";
    const at = Date.parse(query.get("at") ?? "");
    this.at = Number.isNaN(at) ? null : at;
  }
}

export const place = new Location();

/** Makes a plain left click on a link stay in the page; every other click keeps the browser's meaning. */
export function follow(event: MouseEvent, change: Change): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  place.go(change);
}
