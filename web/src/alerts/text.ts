// Rules and alerts in words.

import type { Key, RuleText } from "../api/alerts.svelte.ts";
import { visible } from "../format/text.ts";

export function keyText(key: Key): string {
  const parts = Object.entries(key).map(([name, value]) => `${name} ${value === null ? "(none)" : visible(value)}`);
  return parts.length === 0 ? "all together" : parts.join(", ");
}

export function numberText(value: number | null, unit: string): string {
  if (value === null) return "no data";
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 1 : 3;
  const text = value.toLocaleString("en-GB", { maximumFractionDigits: digits });
  return unit === "" ? text : `${text} ${unit}`;
}

/** What a form holds: texts only. `labels` other than severity, and annotations, go through as they are. */
export interface Draft {
  name: string;
  kind: string;
  source: "view" | "stream" | "sql";
  from: string;
  value: string;
  comparison: string;
  threshold: string;
  unit: string;
  where: string;
  when: string;
  by: string;
  over: string;
  against: string;
  for: string;
  keep_firing_for: string;
  severity: string;
  summary: string;
  enabled: boolean;
  rest: RuleText;
}

const OWN = new Set(["kind", "view", "stream", "sql", "value", "above", "below", "at_least", "at_most", "unit", "where", "when", "by", "over", "against", "for", "keep_firing_for", "labels", "annotations", "enabled"]);
export const COMPARISONS: Readonly<Record<string, string>> = { above: "is above (>)", at_least: "is at least (≥)", below: "is below (<)", at_most: "is at most (≤)" };
export const SYSTEM = new Set(["drift", "ledger", "dead_letters"]);

function text(rule: RuleText, name: string, fallback = ""): string {
  const value = rule[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : fallback;
}

function table(rule: RuleText, name: string): Readonly<Record<string, string>> {
  const value = rule[name];
  return typeof value === "object" && value !== null ? (value as Record<string, string>) : {};
}

export function draftOf(name: string, rule: RuleText): Draft {
  const comparison = Object.keys(COMPARISONS).find((each) => each in rule) ?? "above";
  const source = "sql" in rule ? "sql" : "stream" in rule ? "stream" : "view";
  const by = rule["by"];
  return {
    name,
    kind: text(rule, "kind", "threshold"),
    source,
    from: text(rule, source, source === "view" ? "endpoint_health" : ""),
    value: text(rule, "value"),
    comparison,
    threshold: text(rule, comparison),
    unit: text(rule, "unit"),
    where: text(rule, "where"),
    when: text(rule, "when"),
    by: Array.isArray(by) ? by.join(", ") : "",
    over: text(rule, "over", "1m"),
    against: text(rule, "against"),
    for: text(rule, "for"),
    keep_firing_for: text(rule, "keep_firing_for"),
    severity: table(rule, "labels")["severity"] ?? "",
    summary: table(rule, "annotations")["summary"] ?? "",
    enabled: rule["enabled"] !== false,
    rest: Object.fromEntries(Object.entries(rule).filter(([key]) => !OWN.has(key) || key === "labels" || key === "annotations")),
  };
}

/** The rule that a form says; what is empty is left out, so that the defaults hold. */
export function ruleOf(draft: Draft): RuleText {
  const system = SYSTEM.has(draft.kind);
  const { labels: _labels, annotations: _annotations, ...rest } = draft.rest;
  const found: Record<string, unknown> = { kind: draft.kind, ...rest };
  if (!system) {
    found[draft.source] = draft.from;
    for (const name of ["value", "where", "when"] as const) if (draft[name].trim() !== "") found[name] = draft[name].trim();
    const by = draft.by.split(",").map((each) => each.trim()).filter((each) => each !== "");
    if (by.length > 0) found["by"] = by;
  }
  if (draft.unit.trim() !== "") found["unit"] = draft.unit.trim();
  if (draft.kind !== "no_data" && draft.threshold.trim() !== "") found[draft.comparison] = Number(draft.threshold);
  if (draft.kind === "change" && draft.against.trim() !== "") found["against"] = draft.against.trim();
  for (const name of ["over", "for", "keep_firing_for"] as const) if (draft[name].trim() !== "") found[name] = draft[name].trim();
  const labels = { ...table(draft.rest, "labels"), ...(draft.severity === "" ? {} : { severity: draft.severity }) };
  const annotations = { ...table(draft.rest, "annotations"), ...(draft.summary === "" ? {} : { summary: draft.summary }) };
  if (Object.keys(labels).length > 0) found["labels"] = labels;
  if (Object.keys(annotations).length > 0) found["annotations"] = annotations;
  if (!draft.enabled) found["enabled"] = false;
  return found;
}

/** What a form still lacks before it can be replayed, in words; null if it is whole. */
export function lacks(draft: Draft): string | null {
  if (draft.kind === "drift" || draft.kind === "ledger") return null;
  if (!SYSTEM.has(draft.kind)) {
    if (draft.from.trim() === "") return `Name a ${draft.source === "sql" ? "query" : draft.source} to see what the rule would have done.`;
    if (draft.source === "view" && draft.kind !== "no_data" && draft.value.trim() === "") return "Write a number to see what the rule would have done.";
  }
  return draft.kind !== "no_data" && draft.threshold.trim() === "" ? "Give a threshold to see how often the rule would have fired." : null;
}

/** `new=` of the address: a rule as JSON, or anything for an empty one. */
export function ruleFromAddress(text: string): RuleText {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as RuleText;
  } catch {
    // Not JSON: an empty form.
  }
  return {};
}
