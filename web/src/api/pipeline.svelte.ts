// GET /v1/pipeline: what the node says about itself, and the sums that the page shows of it.

import { asApiError, getJson } from "./http.ts";
import { poll } from "./poll.ts";
import { clock } from "../live/clock.svelte.ts";
import type { ApiError } from "../live/frames.ts";
import { place } from "../url/location.svelte.ts";

export interface Shard {
  readonly id: string;
  readonly state: "open" | "closed";
  readonly position: string | null;
  readonly lines: number;
  readonly bytes: number;
  readonly lines_per_s: number;
  readonly open_epoch: number;
  readonly sealed_epoch: number;
  readonly frontier_epoch: number;
  readonly speed_lag_lines: number;
  readonly batch_lag_lines: number;
}

export interface Ledger {
  readonly received: number;
  readonly stored: number;
  readonly dead_lettered: number;
  readonly deduplicated: number;
  readonly speed: number;
  readonly lake: number;
  readonly batch: number;
  readonly balanced: boolean;
  readonly first_difference: Readonly<Record<string, unknown>> | null;
}

export interface DeadLetter {
  readonly shard: string;
  readonly sequence_number: string;
  readonly arrived_at: string;
  readonly reason: string;
  readonly raw: string;
}

export interface ViewState {
  readonly name: string;
  readonly version: string;
  readonly status: string;
  readonly batch_only: boolean;
  readonly drift_rows: number;
  readonly segments: number;
}

export interface PipelineState {
  readonly node: { readonly version: string; readonly started_at: string; readonly uptime_s: number; readonly problem?: ApiError | null };
  readonly shards: readonly Shard[];
  readonly lake: { readonly rows: number; readonly files: number; readonly bytes: number; readonly snapshot: string | number | null };
  readonly views: readonly ViewState[];
  readonly ledger: Ledger;
  readonly dead_letters: { readonly count: number; readonly recent: readonly DeadLetter[] };
  readonly processes: readonly { readonly role: string; readonly pid: number; readonly rss_bytes: number }[];
}

class PipelineStore {
  state = $state.raw<PipelineState | null>(null);
  error = $state.raw<ApiError | null>(null);

  readonly lines = $derived(this.#sum((shard) => shard.lines));
  /** Unknown, not the last one known, while the node does not answer. */
  readonly linesPerSecond = $derived(this.error === null ? this.#sum((shard) => shard.lines_per_s) : null);
  readonly speedLag = $derived(this.#sum((shard) => shard.speed_lag_lines));
  readonly batchLag = $derived(this.#sum((shard) => shard.batch_lag_lines));
  /** Epochs that are sealed and wait for batch, in the shard where most wait. */
  readonly epochsBehind = $derived(
    this.state === null ? null : Math.max(0, ...this.state.shards.map((shard) => shard.sealed_epoch - shard.frontier_epoch)),
  );

  constructor() {
    poll(
      () => (place.page === "pipeline" ? 1_000 : 2_000),
      async (signal) => {
        try {
          this.state = await getJson<PipelineState>("v1/pipeline", {}, signal);
          this.error = null;
        } catch (reason) {
          this.error = asApiError(reason);
        }
      },
    );
  }

  #sum(of: (shard: Shard) => number): number | null {
    return this.state === null ? null : this.state.shards.reduce((total, shard) => total + of(shard), 0);
  }

  get startedAt(): number | null {
    return this.state === null ? null : clock.now - this.state.node.uptime_s * 1000;
  }
}

export const pipeline = new PipelineStore();
