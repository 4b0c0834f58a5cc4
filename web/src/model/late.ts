// Late lines: windows that were old when this page saw them, and count more lines now.

import { parseInstant } from "../format/time.ts";
import type { Cell } from "../live/frames.ts";

/** A window that began so long before the newest event is history: lines that are a little late are nobody's news. */
const SETTLED_MS = 60_000;

/** `lines` more in windows that start between `first` and `last`, seen at `at`; epoch ms. */
export interface Late {
  readonly lines: number;
  readonly first: number;
  readonly last: number;
  readonly at: number;
}

interface Counted {
  readonly version: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly newest_event_at: string | null;
  readonly server_now: string;
}

/** Compares each frame of one question with the one before. Rows need the columns `window_start` and `requests`, or nothing is found. */
export class LateWatch {
  #version = "";
  #newest = 0;
  #counts = new Map<number, number>();

  /** What has come late since the frame before, null if nothing has. */
  take(frame: Counted): Late | null {
    const counts = countsByWindow(frame);
    const late = frame.version === this.#version ? this.#compare(counts, parseInstant(frame.server_now) ?? 0) : null;
    this.#version = frame.version;
    this.#newest = parseInstant(frame.newest_event_at) ?? 0;
    this.#counts = counts;
    return late;
  }

  #compare(counts: ReadonlyMap<number, number>, at: number): Late | null {
    const earliest = Math.min(...this.#counts.keys());
    const grown = [...counts].filter(([start, lines]) => {
      const known = start >= earliest && start + SETTLED_MS <= this.#newest;
      return known && lines > (this.#counts.get(start) ?? 0);
    });
    if (grown.length === 0) return null;
    const starts = grown.map(([start]) => start);
    const lines = grown.reduce((sum, [start, now]) => sum + now - (this.#counts.get(start) ?? 0), 0);
    return { lines, first: Math.min(...starts), last: Math.max(...starts), at };
  }
}

/** Both of them, where one follows the other within the time that it is shown. */
export function joined(before: Late | null, late: Late): Late {
  if (before === null) return late;
  return { lines: before.lines + late.lines, first: Math.min(before.first, late.first), last: Math.max(before.last, late.last), at: late.at };
}

function countsByWindow(frame: Counted): Map<number, number> {
  const window = frame.columns.indexOf("window_start");
  const requests = frame.columns.indexOf("requests");
  const counts = new Map<number, number>();
  if (window < 0 || requests < 0) return counts;
  for (const row of frame.rows) {
    const start = parseInstant(row[window] as string | null);
    if (start !== null) counts.set(start, (counts.get(start) ?? 0) + Number(row[requests] ?? 0));
  }
  return counts;
}
