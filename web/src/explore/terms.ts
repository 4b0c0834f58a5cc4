// Pieces of the search language: how a filter is written, and which word stands before the caret.

const PLAIN_FIELD = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** `field:"value"`, or, for a record that has no such field, its opposite of `field:*`. */
export function term(field: string, value: string | null, numeric = false): string {
  const name = PLAIN_FIELD.test(field) ? field : quoted(field);
  if (value === null) return `not ${name}:*`;
  return numeric && /^[0-9.]+$/.test(value) ? `${name}:${value}` : `${name}:${quoted(value)}`;
}

/** The search with one more condition. */
export function withTerm(query: string, more: string): string {
  const text = query.trim();
  if (text === "" || text === "*") return more;
  return / or /i.test(text) ? `(${text}) ${more}` : `${text} ${more}`;
}

export interface Fragment {
  /** Where the word begins that is being written. */
  readonly start: number;
  /** The field whose value it is, or null where it may be a field. */
  readonly field: string | null;
  readonly text: string;
}

/** What is being written before `caret`. */
export function fragmentAt(query: string, caret: number): Fragment {
  const before = query.slice(0, caret);
  const found = /(?:([A-Za-z_][A-Za-z0-9_.-]*):"?)?([^\s():"]*)$/.exec(before);
  const text = found?.[2] ?? "";
  const field = found?.[1] ?? null;
  const start = field !== null && before[caret - text.length - 1] === '"' ? caret - text.length - 1 : caret - text.length;
  return { start, field, text };
}

/** Offset of a place that the server names (lines and columns from 1). */
export function offsetOf(query: string, line: number, column: number): number {
  const lines = query.split("\n");
  let at = 0;
  for (let n = 1; n < line; n++) at += (lines[n - 1]?.length ?? 0) + 1;
  return Math.min(query.length, at + column - 1);
}
