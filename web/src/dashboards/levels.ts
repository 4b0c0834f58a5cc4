// Thresholds: at which level a number is. Never told by colour alone.

import type { Threshold } from "./model.ts";

export type Level = Threshold["level"];

export const LEVEL_WORDS: Readonly<Record<Level, string>> = { good: "good", warn: "warning", bad: "bad" };
export const LEVEL_SIGNS: Readonly<Record<Level, string>> = { good: "✓", warn: "▲", bad: "▲▲" };

/** The level of the highest threshold that the value has reached; null: none. */
export function levelOf(value: number | null, thresholds: readonly Threshold[]): Level | null {
  if (value === null) return null;
  const reached = thresholds.filter((threshold) => value >= threshold.value).sort((a, b) => b.value - a.value);
  return reached[0]?.level ?? null;
}
