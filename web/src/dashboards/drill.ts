// From what was pointed at in a panel to the records behind it: a search in Explore.

import type { Pick } from "./context.ts";
import { isSql, type PanelModel } from "./model.ts";
import { type Chosen, filledCondition } from "./variables.ts";

/** A value as the search language has it: quoted unless it is plain. */
export function searchValue(value: string): string {
  return /^[\w./-]+$/.test(value) && !/^(and|or|not)$/i.test(value) ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

export function searchOf(keys: Pick["keys"]): string {
  return Object.entries(keys)
    .map(([key, value]) => (value === null ? `not ${key}:*` : `${key}:${searchValue(value)}`))
    .join(" ");
}

/** What Explore is opened with: names of its address. `sql` is the panel's own condition. */
export function drillParams(panel: PanelModel, pick: Pick, chosen: Chosen, shown: { readonly from: number; readonly to: number }): Record<string, string> {
  const condition = panel.data === null || isSql(panel.data) ? null : filledCondition(panel.data.where, chosen);
  const query = [panel.kind === "logs" ? panel.options.search : "", searchOf(pick.keys)].filter((part) => part !== "").join(" ");
  return {
    ...(query === "" ? {} : { q: query }),
    ...(condition === null ? {} : { where: condition }),
    from: new Date(pick.from ?? shown.from).toISOString(),
    to: new Date(pick.to ?? shown.to).toISOString(),
  };
}
