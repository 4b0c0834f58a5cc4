// Names cut to the room that they have, so that each can still be told from the others.

type Measure = (text: string) => number;

/**
 * Shortens in the middle to at most `width`, as `measure` counts it: the ends of a path say most.
 * The end keeps a little more than the start. Returns the text itself where it fits.
 */
export function shortenMiddle(text: string, width: number, measure: Measure): string {
  if (measure(text) <= width) return text;
  const signs = Array.from(text);
  let low = 0;
  let high = signs.length - 1;
  let best = "…";
  while (low <= high) {
    const kept = (low + high) >> 1;
    const head = Math.floor(kept * 0.45);
    const tail = kept - head;
    const candidate = `${signs.slice(0, head).join("")}…${tail > 0 ? signs.slice(-tail).join("") : ""}`;
    if (measure(candidate) <= width) {
      best = candidate;
      low = kept + 1;
    } else {
      high = kept - 1;
    }
  }
  return best;
}

/** What stands before the first difference is kept to this length, so that a label does not begin with nothing. */
const CONTEXT = 3;
const ROUNDS_MAX = 5;

/**
 * Shortens texts that are shown together so that no two look the same: those that would lose the path segments that they share, and if
 * that is not enough what stands before their first difference. Where the width is too small even for that, they stay whole.
 */
export function shortenApart(texts: readonly string[], width: number, measure: Measure): Map<string, string> {
  const short = new Map(texts.map((text) => [text, shortenMiddle(text, width, measure)]));
  let cut = sharedSegments;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    for (const alike of lookAlikes(short)) {
      const dropped = cut(commonStart(alike));
      for (const text of alike) short.set(text, shortenMiddle(`${dropped > 0 ? "…" : ""}${text.slice(dropped)}`, width, measure));
    }
    cut = (common) => Math.max(0, common.length - CONTEXT);
  }
  for (const text of lookAlikes(short).flat()) short.set(text, text);
  return short;
}

function sharedSegments(common: string): number {
  return Math.max(0, common.lastIndexOf("/"));
}

/** Groups of different texts that are shortened to the same. */
function lookAlikes(short: ReadonlyMap<string, string>): string[][] {
  const groups = new Map<string, string[]>();
  for (const [text, shown] of short) groups.set(shown, [...(groups.get(shown) ?? []), text]);
  return [...groups.values()].filter((group) => group.length > 1);
}

function commonStart(texts: readonly string[]): string {
  let common = "";
  for (const sign of texts[0] ?? "") {
    if (!texts.every((text) => text.startsWith(common + sign))) break;
    common += sign;
  }
  return common;
}
