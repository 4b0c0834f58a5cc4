// Live tail of a search: the filter runs on the server. Scrolling holds the list still; what comes meanwhile is counted.

import { backoffMs } from "../live/backoff.ts";

export type TailRecord = Readonly<Record<string, unknown>>;
const ROWS_MAX = 1_000;
const DRAW_EVERY_MS = 250;

export class SearchTail {
  rows = $state.raw<readonly TailRecord[]>([]);
  held = $state(false);
  waiting = $state(0);
  broken = $state(false);
  /** What is shown of what comes, lines a second, while the server samples. */
  sampled = $state.raw<{ shown: number; of: number } | null>(null);

  #queue: TailRecord[] = [];
  #source: EventSource | null = null;
  #draw: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #calm: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;

  open(query: string, sql: string | null, backlog = 200): void {
    this.close();
    const url = new URL("v1/tail", document.baseURI);
    url.searchParams.set("limit", String(backlog));
    if (sql !== null) url.searchParams.set("where", sql);
    else if (query.trim() !== "") url.searchParams.set("query", query);
    const source = new EventSource(url);
    this.#source = source;
    source.onopen = () => {
      this.broken = false;
      this.#tries = 0;
    };
    source.onerror = () => {
      source.close();
      this.broken = true;
      this.#again = setTimeout(() => this.open(query, sql, 0), backoffMs(this.#tries++, 5_000, Math.random()));
    };
    source.addEventListener("row", (event: MessageEvent<string>) => this.#take(JSON.parse(event.data) as TailRecord));
    source.addEventListener("gap", (event: MessageEvent<string>) => {
      const said = JSON.parse(event.data) as { shown_per_s: number; matched_per_s: number };
      this.sampled = { shown: said.shown_per_s, of: said.matched_per_s };
      clearTimeout(this.#calm);
      this.#calm = setTimeout(() => (this.sampled = null), 3_000);
    });
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#draw);
    clearTimeout(this.#again);
    clearTimeout(this.#calm);
    this.#draw = undefined;
  }

  clear(): void {
    this.rows = [];
    this.#queue = [];
    this.waiting = 0;
  }

  hold(held: boolean): void {
    this.held = held;
    if (!held) this.#show();
  }

  #take(record: TailRecord): void {
    this.#queue.push(record);
    if (this.#queue.length > ROWS_MAX) this.#queue.shift();
    if (this.held) this.waiting += 1;
    else this.#draw ??= setTimeout(() => this.#show(), DRAW_EVERY_MS);
  }

  #show(): void {
    clearTimeout(this.#draw);
    this.#draw = undefined;
    if (this.held) return;
    this.rows = [...this.#queue.reverse(), ...this.rows].slice(0, ROWS_MAX);
    this.#queue = [];
    this.waiting = 0;
  }
}
