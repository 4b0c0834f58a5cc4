// Variables in conditions and SQL: `$endpoint` becomes the chosen values, written as SQL writes text.

import type { Variable } from "./model.ts";

/** Values chosen of each variable, by its name; none chosen: all. */
export type Chosen = Readonly<Record<string, readonly string[]>>;

const NAME = /\$([a-z_][a-z0-9_]*)/g;

export function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/**
 * A condition with its variables filled in. A part between ANDs of which a variable has nothing chosen is left out: nothing chosen
 * means all. Null: no condition is left.
 */
export function filledCondition(where: string | null, chosen: Chosen): string | null {
  if (where === null || where.trim() === "") return null;
  const kept = conjuncts(where).filter((part) => variablesIn(part).every((name) => !(name in chosen) || (chosen[name] ?? []).length > 0));
  return kept.length === 0 ? null : kept.map((part) => filled(part, chosen)).join(" AND ");
}

/** SQL with variables filled in; one with nothing chosen becomes NULL, so that `$endpoint IS NULL OR endpoint IN ($endpoint)` works. */
export function filledSql(sql: string, chosen: Chosen, from: number, to: number): string {
  const instants: Record<string, string> = { from: timestamp(from), to: timestamp(to) };
  return sql.replaceAll(NAME, (whole, name: string) => {
    if (instants[name] !== undefined) return instants[name];
    const values = chosen[name];
    if (values === undefined) return whole;
    return values.length === 0 ? "NULL" : values.map(quoted).join(", ");
  });
}

export function variablesIn(text: string): string[] {
  return [...text.matchAll(NAME)].map((match) => match[1] as string);
}

function timestamp(ms: number): string {
  return `TIMESTAMP '${new Date(ms).toISOString().replace("T", " ").replace("Z", "")}'`;
}

function filled(part: string, chosen: Chosen): string {
  return part.replaceAll(NAME, (whole, name: string) => (chosen[name] === undefined ? whole : chosen[name].map(quoted).join(", ")));
}

/** Parts between the ANDs that stand outside of brackets and quotes; the AND of a BETWEEN stays inside. */
export function conjuncts(where: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = "";
  let between = false;
  let start = 0;
  for (let at = 0; at < where.length; at += 1) {
    const sign = where[at] as string;
    if (quote !== "") {
      if (sign === quote) quote = "";
    } else if (sign === "'" || sign === '"') quote = sign;
    else if (sign === "(") depth += 1;
    else if (sign === ")") depth -= 1;
    else if (depth === 0 && isWordAt(where, at, "between")) between = true;
    else if (depth === 0 && isWordAt(where, at, "or")) return [where.trim()];
    else if (depth === 0 && isWordAt(where, at, "and")) {
      if (between) between = false;
      else {
        parts.push(where.slice(start, at).trim());
        start = at + 3;
      }
    }
  }
  parts.push(where.slice(start).trim());
  return parts.filter((part) => part !== "");
}

function isWordAt(text: string, at: number, word: string): boolean {
  const before = text[at - 1] ?? " ";
  const after = text[at + word.length] ?? " ";
  return text.slice(at, at + word.length).toLowerCase() === word && !/\w/.test(before) && !/\w/.test(after);
}

/** What the address says of each variable, or else its default. Names in the address: `v.endpoint=/login`, once a value. */
export function chosenFrom(params: URLSearchParams, variables: readonly Variable[]): Chosen {
  return Object.fromEntries(
    variables.map((variable) => {
      const given = params.getAll(`v.${variable.name}`);
      const values = given.length === 1 && given[0] === "" ? [] : given.length > 0 ? given : variable.default;
      return [variable.name, variable.multi ? values : values.slice(0, 1)];
    }),
  );
}
