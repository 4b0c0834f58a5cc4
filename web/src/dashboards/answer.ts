// A view's answer, or the answer of a query, as the series, rows and cells that panels draw. Pure.

import type { Cell } from "../live/frames.ts";
import { parseInstant } from "../format/time.ts";
import type { Field } from "./expression.ts";

/** The part of a frame that this needs. `others`: how many keys are merged into the row whose keys are all null. */
export interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly others: number;
}

export interface Series {
  /** What the legend says. */
  readonly name: string;
  /** Value of the key that makes this series; null: there is none, or it is the rest. */
  readonly key: string | null;
  readonly isRest: boolean;
  readonly field: string;
  readonly points: ReadonlyMap<number, number | null>;
}

export interface Row {
  readonly keys: readonly (string | null)[];
  readonly isRest: boolean;
  readonly values: readonly (number | null)[];
}

export const REST = "all others";
export const NO_VALUE = "(none)";
const TIME_COLUMN = "window_start";

export function numberOf(cell: Cell | undefined): number | null {
  if (cell === null || cell === undefined || cell === "" || typeof cell === "boolean") return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}

/** The numbers of a row by the name of their column. */
export function numbersOf(answer: Pick<Answer, "columns">): (row: readonly Cell[]) => (column: string) => number | null {
  const at = new Map(answer.columns.map((name, index) => [name, index]));
  return (row) => (column) => numberOf(row[at.get(column) ?? -1]);
}

export function keyWords(value: string | null, isRest: boolean, others: number): string {
  if (isRest) return others > 0 ? `${others.toLocaleString("en-GB")} others` : REST;
  return value ?? NO_VALUE;
}

/** A series for each field and value of `by`, largest first by the sum of the field. `keys`: the view's key columns. */
export function seriesOf(answer: Answer, fields: readonly Field[], by: string | null, perSecond: ((start: number) => number) | null): Series[] {
  const at = answer.columns.indexOf(TIME_COLUMN);
  const key = by === null ? -1 : answer.columns.indexOf(by);
  if (at < 0) return [];
  const numbers = numbersOf(answer);
  const found = new Map<string, { name: string; key: string | null; isRest: boolean; field: string; points: Map<number, number | null>; sum: number }>();
  for (const row of answer.rows) {
    const start = parseInstant(row[at] === null || row[at] === undefined ? null : String(row[at]));
    if (start === null) continue;
    const value = key < 0 ? null : textOf(row[key]);
    const isRest = key >= 0 && value === null && answer.others > 0;
    const read = numbers(row);
    for (const field of fields) {
      const id = JSON.stringify([field.text, value, isRest]);
      let series = found.get(id);
      if (series === undefined) {
        const named = key < 0 ? field.name : keyWords(value, isRest, answer.others);
        const name = key >= 0 && fields.length > 1 ? `${named} · ${field.name}` : named;
        series = { name, key: value, isRest, field: field.name, points: new Map(), sum: 0 };
        found.set(id, series);
      }
      const number = field.value(read);
      const shown = number === null || perSecond === null ? number : number / perSecond(start);
      series.points.set(start, shown);
      series.sum += shown ?? 0;
    }
  }
  return [...found.values()].sort((a, b) => Number(a.isRest) - Number(b.isRest) || (key < 0 ? 0 : b.sum - a.sum));
}

/** One row a key, in the order of the answer, the rest last. */
export function rowsOf(answer: Answer, fields: readonly Field[], keys: readonly string[], perSecond: number | null): Row[] {
  const at = keys.map((key) => answer.columns.indexOf(key));
  const numbersIn = numbersOf(answer);
  const rows = answer.rows.map((row) => {
    const read = numbersIn(row);
    const values = at.map((column) => textOf(row[column]));
    const numbers = fields.map((field) => {
      const number = field.value(read);
      return number === null || perSecond === null ? number : number / perSecond;
    });
    return { keys: values, isRest: answer.others > 0 && values.every((value) => value === null), values: numbers };
  });
  return rows.sort((a, b) => Number(a.isRest) - Number(b.isRest));
}

/** Whether any row gives a number for any of the fields: events there may be, of which none has what is asked for. */
export function hasNumbers(answer: Answer, fields: readonly Field[]): boolean {
  return answer.rows.some((row) => fields.some((field) => field.value((column) => numberOf(row[answer.columns.indexOf(column)])) !== null));
}

export function textOf(cell: Cell | undefined): string | null {
  return cell === null || cell === undefined ? null : String(cell);
}

/** A step that gives a chart of this length about `points` points: a multiple of the view's own windows that people count in. */
export function autoStep(lengthMs: number, windowMs: number, points = 240): number {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map((s) => s * 1000);
  const wanted = lengthMs / points;
  return steps.find((step) => step >= wanted && step % windowMs === 0) ?? Math.ceil(86_400_000 / windowMs) * windowMs;
}

export function stepText(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
