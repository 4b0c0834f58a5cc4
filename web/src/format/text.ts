// Text from logs, made safe to look at. It is only ever put into the page as text, never as HTML.

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Control characters and marks that turn the reading direction are written out: \\u001b, \\u202e. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A key as a label; logs may well have none. */
export function keyLabel(value: string | null, name: string): string {
  if (value === null) return `(no ${name})`;
  return value === "" ? `(empty ${name})` : visible(value);
}

/**
 * Shortens in the middle to at most `width`, as `measure` counts it: the ends of a path say most.
 * The end keeps a little more than the start. Returns the text itself where it fits.
 */
export function shortenMiddle(text: string, width: number, measure: (text: string) => number): string {
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
