// Widths of text on a canvas, remembered: labels are shortened by what they really take.

import { shortenApart } from "../format/shorten.ts";

const REMEMBERED = 5_000;
const context = document.createElement("canvas").getContext("2d");
const widths = new Map<string, number>();

export function textWidth(text: string, font: string): number {
  const key = `${font}\n${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > REMEMBERED) widths.clear();
    if (context !== null) context.font = font;
    width = context?.measureText(text).width ?? text.length * 7;
    widths.set(key, width);
  }
  return width;
}

/** Each text as it fits into `width`, no two alike. */
export function fittedApart(texts: readonly string[], width: number, font: string): Map<string, string> {
  return shortenApart(texts, width, (part) => textWidth(part, font));
}
