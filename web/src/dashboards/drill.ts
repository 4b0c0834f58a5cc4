// From what was pointed at in a panel to the records behind it, and from a panel to a rule about it.

import type { Pick } from "./context.ts";
import { isSql, type PanelModel } from "./model.ts";
import { type Chosen, conjuncts, filledCondition, quoted, variablesIn } from "./variables.ts";

/** A value as the search language has it: quoted unless it is plain. */
export function searchValue(value: string): string {
  return /^[\w./-]+$/.test(value) && !/^(and|or|not)$/i.test(value) && !value.startsWith("-") && !value.includes("..") ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

const STRING = "'((?:[^']|'')*)'";
const COMPARISON = new RegExp(`^([a-z_]\\w*)\\s*(=|<>|!=|>=|<=|>|<)\\s*(?:${STRING}|(-?\\d+(?:\\.\\d+)?))$`, "i");
const LIST = /^([a-z_]\w*)\s+IN\s*\((.*)\)$/is;
const ITEM = new RegExp(`\\s*(?:${STRING}|(-?\\d+(?:\\.\\d+)?))\\s*(?:,|$)`, "y");

/** One part of a condition in the search language; null where that has no words for it. */
export function searchFor(part: string): string | null {
  const comparison = COMPARISON.exec(part);
  if (comparison !== null) {
    const [, field, sign, text, number] = comparison;
    const value = text === undefined ? (number as string) : searchValue(text.replaceAll("''", "'"));
    if (sign === "=") return `${field}:${value}`;
    if (sign === "<>" || sign === "!=") return `not ${field}:${value}`;
    return text === undefined ? `${field}:${sign}${value}` : null;
  }
  const list = LIST.exec(part);
  if (list === null) return null;
  const values = items(list[2] as string);
  if (values === null || values.length === 0) return null;
  const terms = values.map((value) => `${list[1]}:${searchValue(value)}`);
  return terms.length === 1 ? (terms[0] as string) : `(${terms.join(" or ")})`;
}

function items(text: string): string[] | null {
  const found: string[] = [];
  ITEM.lastIndex = 0;
  while (ITEM.lastIndex < text.length) {
    const match = ITEM.exec(text);
    if (match === null) return null;
    found.push(match[1]?.replaceAll("''", "'") ?? (match[2] as string));
  }
  return found;
}

/** What Explore is opened with: a search where there are words for all of it, else a condition in SQL. */
export function drillParams(panel: PanelModel, pick: Pick, chosen: Chosen, shown: { readonly from: number; readonly to: number }): Record<string, string> {
  const condition = panel.data === null || isSql(panel.data) ? null : filledCondition(panel.data.where, chosen);
  const parts = condition === null ? [] : conjuncts(condition);
  const keys = Object.entries(pick.keys);
  const range = { from: new Date(pick.from ?? shown.from).toISOString(), to: new Date(pick.to ?? shown.to).toISOString() };
  const terms = parts.map(searchFor);
  if (terms.every((term) => term !== null)) {
    const own = panel.kind === "logs" ? [panel.options.search, ...logTerms(chosen)] : [];
    const query = [...own, ...terms, ...keys.map(([key, value]) => (value === null ? `not ${key}:*` : `${key}:${searchValue(value)}`))].filter((term) => term !== "");
    return query.length === 0 ? range : { q: query.join(" "), ...range };
  }
  const sql = [...parts.map((part) => `(${part})`), ...keys.map(([key, value]) => (value === null ? `${key} IS NULL` : `CAST(${key} AS VARCHAR) = ${quoted(value)}`))].join(" AND ");
  return { sql, ...range };
}

/** A log list is narrowed by the variables that are fields. */
function logTerms(chosen: Chosen): string[] {
  return Object.entries(chosen).flatMap(([name, values]) => (values.length === 0 ? [] : [`(${values.map((value) => `${name}:${searchValue(value)}`).join(" or ")})`]));
}

/** A rule about the panel's first number, for the editor of alerts; null where there is none to be made. */
export function ruleFor(panel: PanelModel): Record<string, unknown> | null {
  const { data, options } = panel;
  const first = data === null || isSql(data) ? undefined : data.fields[0];
  if (data === null || isSql(data) || first === undefined) return null;
  const worst = [...options.thresholds].sort((a, b) => b.value - a.value)[0];
  return {
    kind: "threshold",
    view: data.view,
    value: first.replace(/^\s*\w+\s*=\s*/, ""),
    ...(data.by === null ? {} : { by: [data.by] }),
    ...(data.where === null || variablesIn(data.where).length > 0 ? {} : { where: data.where }),
    ...(worst === undefined ? {} : { above: worst.value }),
    ...(options.unit === "" || options.unit === "count" ? {} : { unit: options.unit === "percent" ? "%" : options.unit }),
    over: data.over ?? "1m",
    annotations: { summary: panel.title },
  };
}
