// What Explore shows, all of it from the address: search, columns, grouping, live. Asks the node anew when that changes.

import { asApiError } from "../api/http.ts";
import { place } from "../url/location.svelte.ts";
import { bounds, time } from "../url/time.svelte.ts";
import { ask, type Column, type FoundField, type Histogram, type Page, type PlacedError, type Row, type Scope } from "./api.ts";

const PAGE_ROWS = 200;

export class Explore {
  readonly query = $derived(place.params.get("q") ?? "");
  readonly sql = $derived(place.params.get("sql"));
  readonly columns = $derived((place.params.get("cols") ?? "").split(",").filter((name) => name !== ""));
  readonly groupBy = $derived(place.params.get("by"));
  readonly tailing = $derived(place.params.get("tail") === "1");
  readonly position = $derived(place.params.get("pin"));

  scope = $state.raw<Scope>({});
  head = $state.raw<readonly Column[]>([]);
  rows = $state.raw<readonly Row[]>([]);
  cursor = $state<string | null>(null);
  took = $state<number | null>(null);
  scanned = $state(0);
  histogram = $state.raw<Histogram | null>(null);
  fields = $state.raw<readonly FoundField[]>([]);
  busy = $state(false);
  counting = $state(false);
  error = $state.raw<PlacedError | null>(null);

  #running: AbortController | null = null;

  /** Ask for everything anew; what still runs is cancelled, on the server too. */
  run(now: number): void {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    const range = bounds(time.range, now);
    const scope: { query?: string; sql?: string; from: string; to: string; at?: string } = {
      from: new Date(range.from).toISOString(),
      to: new Date(range.to).toISOString(),
    };
    if (this.sql !== null) scope.sql = this.sql;
    else scope.query = this.query;
    if (this.position !== null) scope.at = this.position;
    this.scope = scope;
    this.busy = this.counting = true;
    this.error = null;
    void this.#load(scope, running.signal);
  }

  stop(): void {
    this.#running?.abort();
    this.busy = this.counting = false;
  }

  async #load(scope: Scope, signal: AbortSignal): Promise<void> {
    try {
      const page = await ask<Page>("", { ...scope, limit: PAGE_ROWS }, signal);
      this.head = page.columns;
      this.rows = page.rows;
      this.cursor = page.cursor;
      this.took = page.elapsed_ms;
      this.scanned = page.rows_scanned;
      this.busy = false;
      const grouped = this.groupBy === null ? {} : { group_by: this.groupBy };
      this.histogram = await ask<Histogram>("/histogram", { ...scope, ...grouped, buckets: 80 }, signal);
      this.counting = false;
      this.fields = (await ask<{ fields: FoundField[] }>("/fields", scope, signal)).fields;
    } catch (reason) {
      if (signal.aborted) return;
      this.error = asApiError(reason);
      this.busy = this.counting = false;
      this.rows = [];
      this.cursor = this.histogram = null;
      if (this.fields.length === 0) await this.#allFields(scope, signal);
    }
  }

  /** Fields of all lines of the time, so that a search that cannot be read can be completed. */
  async #allFields(scope: Scope, signal: AbortSignal): Promise<void> {
    try {
      this.fields = (await ask<{ fields: FoundField[] }>("/fields", { from: scope.from, to: scope.to }, signal)).fields;
    } catch {
      // The error that is shown already says more.
    }
  }

  /** The next page, of the same moment. */
  async more(): Promise<void> {
    const signal = this.#running?.signal;
    if (this.cursor === null || this.busy || signal === undefined) return;
    this.busy = true;
    try {
      const page = await ask<Page>("", { ...this.scope, at: undefined, limit: PAGE_ROWS, cursor: this.cursor }, signal);
      this.rows = [...this.rows, ...page.rows];
      this.cursor = page.cursor;
    } catch (reason) {
      if (!signal.aborted) this.error = asApiError(reason);
    }
    this.busy = false;
  }
}
