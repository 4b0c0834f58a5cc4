// The stretch of time that dashboards, Explore and alerts show: relative to now (`over=15m`) or fixed (`from=`, `to=`).

import { spanMs } from "../model/windows.ts";
import { place } from "./location.svelte.ts";

export type TimeRange = { readonly kind: "relative"; readonly over: string } | { readonly kind: "absolute"; readonly from: number; readonly to: number };

/** Presets of the picker, shortest first. */
export const SPANS = ["5m", "15m", "1h", "6h", "24h", "2d", "7d", "30d"] as const;
export const SPAN_DEFAULT = "15m";
const SPAN_PATTERN = /^[1-9][0-9]{0,5}[smhdw]$/;

export function readRange(params: URLSearchParams, fallback: TimeRange): TimeRange {
  const from = Date.parse(params.get("from") ?? "");
  const to = Date.parse(params.get("to") ?? "");
  if (!Number.isNaN(from) && !Number.isNaN(to) && from < to) return { kind: "absolute", from, to };
  const over = params.get("over") ?? "";
  return SPAN_PATTERN.test(over) ? { kind: "relative", over } : fallback;
}

/** What to set in the address for a range; null removes. */
export function rangeParams(range: TimeRange): Record<string, string | null> {
  if (range.kind === "relative") return { over: range.over, from: null, to: null };
  return { over: null, from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
}

export function lengthMs(range: TimeRange): number {
  return range.kind === "relative" ? spanMs(range.over) : range.to - range.from;
}

/** As instants: a relative range ends at `now`. */
export function bounds(range: TimeRange, now: number): { from: number; to: number } {
  return range.kind === "absolute" ? { from: range.from, to: range.to } : { from: now - spanMs(range.over), to: now };
}

class TimeState {
  /** What holds where the address says nothing: a dashboard's own range. */
  fallback = $state.raw<TimeRange>({ kind: "relative", over: SPAN_DEFAULT });
  readonly range = $derived(readRange(place.params, this.fallback));
  /** False: numbers stand still until somebody goes on (`paused=1`). A fixed range is never live. */
  readonly live = $derived(this.range.kind === "relative" && !place.params.has("paused"));

  set(range: TimeRange): void {
    place.set({ ...rangeParams(range), paused: null, pin: null });
  }
}

export const time = new TimeState();
