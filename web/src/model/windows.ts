// The arithmetic of windows: what "the last minute" covers, and a grid of steps with its gaps.

import type { HealthAt } from "./rows.ts";

/** Of the views that come with Tailrace and that the overview draws. */
export const WINDOW_MS = 10_000;

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** "10s", "5m", "1h" in milliseconds. */
export function spanMs(text: string): number {
  return Number(text.slice(0, -1)) * (UNITS[text.slice(-1)] ?? 1_000);
}

const SPAN_WORDS: Readonly<Record<string, string>> = { s: "second", m: "minute", h: "hour", d: "day", w: "week" };

/** "15m" as "15 minutes"; "1h" as "hour", as in "the last hour". */
export function spanWords(text: string): string {
  const n = Number(text.slice(0, -1));
  const unit = SPAN_WORDS[text.slice(-1)] ?? "second";
  return n === 1 ? unit : `${n} ${unit}s`;
}

/**
 * How long the windows of a live subscription have really lasted, in ms: those that start after now - over, aligned; the newest is
 * still open. Without this a rate over six windows of 10 s is up to a sixth too low.
 */
export function coveredMs(now: number, overMs: number, windowMs: number): number {
  const first = Math.floor((now - overMs) / windowMs) * windowMs + windowMs;
  return Math.max(windowMs / 10, Math.min(now - first, overMs));
}

/** One slot a step in [from, to]; a step without events is null, so that a line breaks there. Steps are epoch-aligned. */
export function onGrid<T>(points: readonly HealthAt[], from: number, to: number, step: number, read: (point: HealthAt) => T | null): [number, T | null][] {
  const found = new Map(points.map((point) => [point.start, point]));
  const grid: [number, T | null][] = [];
  for (let start = Math.floor(from / step) * step; start < to; start += step) {
    const point = found.get(start);
    grid.push([start, point === undefined ? null : read(point)]);
  }
  return grid;
}

/** The range of this length that ends with the window of `instant`. */
export function rangeUpTo(instant: number, lengthMs: number, windowMs: number): { from: number; to: number } {
  const to = Math.floor(instant / windowMs) * windowMs + windowMs;
  return { from: to - lengthMs, to };
}
