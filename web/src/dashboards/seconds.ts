// How long the windows of an answer have really lasted: the divisor of rates.

import { parseInstant } from "../format/time.ts";
import type { Snapshot } from "../live/frames.ts";
import { coveredMs } from "../model/windows.ts";

interface Asked {
  readonly range: { readonly from: number; readonly to: number } | null;
  readonly overMs: number;
  readonly windowMs: number;
}

/** Of all windows together: the newest one of a live answer is still open. */
export function secondsOf(asked: Asked, frame: Snapshot): number {
  const now = parseInstant(frame.server_now) ?? Date.now();
  if (asked.range !== null) return Math.max(1, (Math.min(asked.range.to, now) - asked.range.from) / 1000);
  return coveredMs(now, asked.overMs, asked.windowMs) / 1000;
}

/** Of the window that begins at `start`: the newest counts for as long as it has been open, but for a fifth of a step at least. */
export function windowSeconds(start: number, step: number, now: number): number {
  return Math.max(step / 5, Math.min(step, now - start)) / 1000;
}
