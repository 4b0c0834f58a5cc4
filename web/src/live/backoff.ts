// How long to wait before the next try to connect: exponential, capped, with jitter so that pages do not return in step.

const FIRST_MS = 500;

/** `attempt` counts from 0; `chance` is in [0, 1). */
export function backoffMs(attempt: number, longestMs: number, chance: number): number {
  const ceiling = Math.min(longestMs, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling * (0.5 + chance / 2));
}
