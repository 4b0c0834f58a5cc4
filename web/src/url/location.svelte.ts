// What the address bar says: the view, the time range, the moment looked at. A copied link shows the same page.

export const RANGES = ["5m", "15m", "1h", "6h"] as const;
export type Range = (typeof RANGES)[number];

/** What makes an endpoint stand among the first twenty. */
export const RANKS = ["busiest", "slowest", "errors"] as const;
export type Rank = (typeof RANKS)[number];

interface Change {
  readonly page?: string;
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

/** What a link to another page takes along. */
const TIME_NAMES = ["over", "from", "to"] as const;

function addressOf(query: URLSearchParams): string {
  const text = query.toString();
  return text === "" ? "./" : `./?${text.replaceAll("%3A", ":")}`;
}

class Location {
  page = $state("overview");
  /** All that the address says; pages other than the overview keep what is theirs in it. */
  params = $state.raw(new URLSearchParams());
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
    return addressOf(query);
  }

  /** The address of a page, with the time range of this one. */
  pageHref(page: string, more: Readonly<Record<string, string>> = {}): string {
    const query = new URLSearchParams(page === "overview" ? {} : { page });
    for (const name of TIME_NAMES) {
      const value = this.params.get(name);
      if (value !== null) query.set(name, value);
    }
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return addressOf(query);
  }

  /** The address with some names set anew; null removes one. */
  hrefWith(changes: Readonly<Record<string, string | null>>): string {
    const query = new URLSearchParams(this.params);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) query.delete(name);
      else query.set(name, value);
    }
    return addressOf(query);
  }

  /** `replace`: without a step in the browser's history, for what changes while somebody types or drags. */
  set(changes: Readonly<Record<string, string | null>>, how: "push" | "replace" = "push"): void {
    this.open(this.hrefWith(changes), how);
  }

  open(href: string, how: "push" | "replace" = "push"): void {
    if (how === "push") history.pushState(null, "", href);
    else history.replaceState(null, "", href);
    this.#read();
  }

  go(change: Change): void {
    history.pushState(null, "", this.href(change));
    this.#read();
  }

  #read(): void {
    const query = new URLSearchParams(location.search);
    this.params = query;
    this.page = query.get("page") ?? "overview";
    const range = query.get("range");
    this.range = RANGES.find((known) => known === range) ?? "5m";
    const rank = query.get("rank");
    this.rank = RANKS.find((known) => known === rank) ?? "busiest";
    const at = Date.parse(query.get("at") ?? "");
    this.at = Number.isNaN(at) ? null : at;
  }
}

export const place = new Location();

function isPlainClick(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

/** Makes a plain left click on a link stay in the page; every other click keeps the browser's meaning. */
export function follow(event: MouseEvent, change: Change): void {
  if (!isPlainClick(event)) return;
  event.preventDefault();
  place.go(change);
}

/** The same for a link whose address is made by `hrefWith` or `pageHref`. */
export function followHref(event: MouseEvent): void {
  if (!isPlainClick(event)) return;
  event.preventDefault();
  place.open((event.currentTarget as HTMLAnchorElement).getAttribute("href") ?? "./");
}
