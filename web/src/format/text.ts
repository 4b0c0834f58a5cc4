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
