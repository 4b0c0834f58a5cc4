// Widths of text on a canvas, remembered: labels are shortened by what they really take.

import { shortenMiddle } from "../format/text.ts";

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

export function fitted(text: string, width: number, font: string): string {
  return shortenMiddle(text, width, (part) => textWidth(part, font));
}
