// GET /v1/tail (SSE): the newest log lines, at most 200 of them, drawn a few times a second however many arrive.

import { session } from "../access/session.svelte.ts";
import { backoffMs } from "../live/backoff.ts";

export interface TailRow {
  /** The line's coordinate in the stream; a line that is sent twice is shown once. */
  readonly key: string;
  readonly record: Readonly<Record<string, unknown>>;
}

export const TAIL_ROWS_MAX = 200;
const DRAW_EVERY_MS = 250;
const BACKLOG = 50;
const RETRY_MS_MAX = 5_000;

export class Tail {
  rows = $state.raw<readonly TailRow[]>([]);
  state = $state<"connecting" | "open" | "broken">("connecting");
  paused = $state(false);
  /** Lines that came while paused; those beyond the last 200 are gone from here, not from the store. */
  waiting = $state(0);
  /** Lines that the server left out because more came than a person can read. */
  skipped = $state(0);

  #held: TailRow[] = [];
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  readonly #known = new Set<string>();

  open(): void {
    if (this.#source !== null) return;
    clearTimeout(this.#retryTimer);
    const url = new URL("v1/tail", document.baseURI);
    url.searchParams.set("limit", String(BACKLOG));
    const source = new EventSource(url);
    this.#source = source;
    source.onopen = () => {
      this.state = "open";
      this.#attempt = 0;
    };
    source.onerror = () => this.#reopenLater(source);
    source.addEventListener("row", (event: MessageEvent<string>) => this.#take(event.data));
    source.addEventListener("gap", (event: MessageEvent<string>) => {
      this.skipped += gapSize(event.data);
    });
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#retryTimer);
    this.#attempt = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.state = "connecting";
  }

  togglePause(): void {
    this.paused = !this.paused;
    if (!this.paused) this.#draw();
  }

  /** The browser would give up for good at the first answer that is not 200, as a node that starts gives; so each try is a new one. */
  #reopenLater(source: EventSource): void {
    source.close();
    this.#source = null;
    this.state = "broken";
    this.#retryTimer = setTimeout(() => void this.#openOnceIn(), backoffMs(this.#attempt++, RETRY_MS_MAX, Math.random()));
  }

  /** What refused it may be that the session has ended: an event source does not say. */
  async #openOnceIn(): Promise<void> {
    if (await session.ask()) this.open();
    else this.#retryTimer = setTimeout(() => void this.#openOnceIn(), RETRY_MS_MAX);
  }

  #take(data: string): void {
    let record: unknown;
    try {
      record = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof record !== "object" || record === null) return;
    const fields = record as Record<string, unknown>;
    const key = `${String(fields["_shard"])}/${String(fields["_sequence_number"])}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#held.push({ key, record: fields });
    if (this.#held.length > TAIL_ROWS_MAX) this.#forget(this.#held.shift());
    if (this.paused) this.waiting += 1;
    else this.#timer ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.paused) return;
    const fresh = this.#held.reverse();
    this.#held = [];
    this.waiting = 0;
    const all = [...fresh, ...this.rows];
    for (const row of all.slice(TAIL_ROWS_MAX)) this.#forget(row);
    this.rows = all.slice(0, TAIL_ROWS_MAX);
  }

  #forget(row: TailRow | undefined): void {
    if (row !== undefined) this.#known.delete(row.key);
  }
}

function gapSize(data: string): number {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === "number") return value;
    const said = value as { skipped?: number; dropped?: number; count?: number };
    return said.skipped ?? said.dropped ?? said.count ?? 0;
  } catch {
    return 0;
  }
}
