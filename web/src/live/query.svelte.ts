// One panel's data: live over the WebSocket, or a past range over GET, whichever the address asks for.

import { asApiError, getJson } from "../api/http.ts";
import { poll } from "../api/poll.ts";
import { parseInstant } from "../format/time.ts";
import { live } from "./connection.svelte.ts";
import { joined, type Late, LateWatch } from "../model/late.ts";
import type { ApiError, Snapshot, Subscription } from "./frames.ts";

/** A fixed range; instants in epoch ms, windows that start in [from, to). */
export interface Past {
  readonly from: number;
  readonly to: number;
  /** The position in the stream at which the numbers stand, for one that must never change. */
  readonly at?: string;
}

const PAST_EVERY_MS = 3_000;
/** How long it is news that lines came late. */
const NEWS_MS = 60_000;

export class ViewQuery {
  frame = $state.raw<Snapshot | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** True from a change of what is asked until its first answer; `frame` is then still the old one. */
  waiting = $state(true);
  /** Lines that came late while this was shown; null when there were none of late. */
  late = $state.raw<Late | null>(null);

  #watch = new LateWatch();
  readonly #asked: string;

  /** Must be made while a component is set up: it ends with it. `asks` null: nothing is asked. */
  constructor(asks: () => Subscription | null, past: () => Past | null) {
    this.#asked = $derived(JSON.stringify([asks(), past()]));
    $effect(() => {
      const [spec, range] = JSON.parse(this.#asked) as [Subscription | null, Past | null];
      this.waiting = true;
      this.late = null;
      this.#watch = new LateWatch();
      if (spec === null) return;
      return range === null ? this.#follow(spec) : this.#fetch(spec, range);
    });
  }

  #take(frame: Snapshot): void {
    const before = this.late !== null && (parseInstant(frame.server_now) ?? 0) - this.late.at < NEWS_MS ? this.late : null;
    const late = this.#watch.take(frame);
    this.late = late === null ? before : joined(before, late);
    this.frame = frame;
    this.error = null;
    this.waiting = false;
  }

  #fail(error: ApiError): void {
    this.error = error;
    this.waiting = false;
  }

  #follow(spec: Subscription): () => void {
    return live.subscribe(spec, { snapshot: (frame) => this.#take(frame), error: (error) => this.#fail(error) });
  }

  /** Asks again and again, since a replay may still be filling that range. */
  #fetch(spec: Subscription, range: Past): () => void {
    const running = poll(
      () => PAST_EVERY_MS,
      async (signal) => {
        try {
          const answer = await getJson<Partial<Snapshot>>(`v1/views/${encodeURIComponent(spec.view)}`, pastParams(spec, range), signal);
          this.#take(asSnapshot(spec, answer));
        } catch (reason) {
          if (!signal.aborted) this.#fail(asApiError(reason));
        }
      },
    );
    return () => running.stop();
  }
}

export function pastParams(spec: Subscription, range: Past): Record<string, string> {
  const query: Record<string, string> = { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
  if (range.at !== undefined) query["at"] = range.at;
  if (spec.step !== null) query["step"] = spec.step;
  if (spec.total) query["total"] = "true";
  if (spec.where !== null) query["where"] = spec.where;
  if (spec.keys !== undefined) query["keys"] = spec.keys.join(",");
  if (spec.top !== null) {
    query["top"] = String(spec.top.n);
    query["by"] = spec.top.by;
    if (spec.top.key !== undefined) query["key"] = spec.top.key;
  }
  return query;
}

function asSnapshot(spec: Subscription, answer: Partial<Snapshot>): Snapshot {
  const now = new Date().toISOString();
  return {
    sub: "",
    seq: 0,
    kind: "snapshot",
    view: spec.view,
    version: answer.version ?? "",
    columns: answer.columns ?? [],
    rows: answer.rows ?? [],
    others: answer.others ?? 0,
    complete_through: answer.complete_through ?? null,
    drift_rows: answer.drift_rows ?? 0,
    batch_only: answer.batch_only ?? false,
    frontier: answer.frontier ?? {},
    newest_event_at: answer.newest_event_at ?? null,
    computed_at: answer.computed_at ?? now,
    server_now: answer.server_now ?? now,
  };
}
