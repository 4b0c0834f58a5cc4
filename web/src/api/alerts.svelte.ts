// /v1/alerts and below: what is so now, asked again and again while somebody looks, and what a person does about it.

import { asApiError, getJson, sendJson } from "./http.ts";
import { poll, type Poll } from "./poll.ts";
import type { ApiError } from "../live/frames.ts";

export type Status = "ok" | "pending" | "firing" | "recovering";
export type Key = Readonly<Record<string, string | null>>;

export interface Alert {
  readonly rule: string;
  readonly title: string;
  readonly fingerprint: string;
  readonly status: Status;
  readonly key: Key;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly value_text: string;
  readonly since: string;
  readonly fired_at: string | null;
  readonly flapping: boolean;
  readonly flap_score: number;
  readonly explain: string;
  readonly silenced_by: readonly string[];
}

export interface Problem {
  readonly rule: string | null;
  readonly file: string | null;
  readonly message: string;
  readonly hint: string;
}

export interface Channel {
  readonly name: string;
  readonly kind: string;
  readonly target: string;
  readonly problem: string | null;
}

export interface Overview {
  readonly now: string;
  readonly alerts: readonly Alert[];
  readonly rules: number;
  readonly problems: readonly Problem[];
  readonly channels: readonly Channel[];
}

/** As in a rule's file. */
export type RuleText = Readonly<Record<string, unknown>>;

export interface Rule {
  readonly name: string;
  readonly title: string;
  readonly kind: string;
  readonly enabled: boolean;
  readonly shipped: boolean;
  readonly rule: RuleText;
  readonly judged_through: string | null;
  readonly left_out: number;
  readonly error: { readonly message: string; readonly hint: string } | null;
}

export interface Series {
  readonly key: Key;
  readonly fingerprint: string;
  readonly values: readonly (number | null)[];
}

export interface Preview {
  readonly from: string;
  readonly to: string;
  readonly fired: number;
  readonly keys: number;
  readonly comparison: string;
  readonly threshold: number;
  readonly unit: string;
  readonly reason: string | null;
  readonly episodes: readonly { readonly key: Key; readonly fingerprint: string; readonly fired_at: string; readonly ended_at: string | null; readonly worst: number | null }[];
  readonly times_ms: readonly number[];
  readonly series: readonly Series[];
  readonly took_ms: number;
}

export interface Change {
  readonly at: string;
  readonly rule: string;
  readonly title: string;
  readonly key: Key;
  readonly from: Status;
  readonly to: Status;
  readonly value_text: string;
  readonly reason: string | null;
}

export interface Delivery {
  readonly at: string;
  readonly channel: string;
  readonly outcome: string;
  readonly firing: number;
  readonly resolved: number;
  readonly attempt: number;
  readonly problem: string | null;
}

export interface Silence {
  readonly id: string;
  readonly status: "pending" | "active" | "expired";
  readonly matchers: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly comment: string;
  readonly created_by: string;
}

export interface Silences {
  readonly silences: readonly Silence[];
  readonly maintenance: readonly { readonly name: string; readonly matchers: readonly string[]; readonly active: boolean }[];
}

const EVERY_MS = 2_000;

/** All that the page shows, while it is shown. */
export class AlertsState {
  now = $state.raw<Overview | null>(null);
  rules = $state.raw<readonly Rule[]>([]);
  history = $state.raw<readonly Change[]>([]);
  deliveries = $state.raw<readonly Delivery[]>([]);
  silences = $state.raw<Silences>({ silences: [], maintenance: [] });
  error = $state.raw<ApiError | null>(null);
  readonly #abort = new AbortController();
  readonly #poll: Poll;

  constructor() {
    this.#poll = poll(
      () => EVERY_MS,
      async (signal) => this.ask(signal),
    );
  }

  async ask(signal: AbortSignal = this.#abort.signal): Promise<void> {
    try {
      const [now, rules, history, silences] = await Promise.all([
        getJson<Overview>("v1/alerts", {}, signal),
        getJson<{ rules: readonly Rule[] }>("v1/alerts/rules", {}, signal),
        getJson<{ history: readonly Change[]; deliveries: readonly Delivery[] }>("v1/alerts/history", { from: "now-7d", limit: "100" }, signal),
        getJson<Silences>("v1/alerts/silences", {}, signal),
      ]);
      this.now = now;
      this.rules = rules.rules;
      this.history = history.history;
      this.deliveries = history.deliveries;
      this.silences = silences;
      this.error = null;
    } catch (reason) {
      if (!signal.aborted) this.error = asApiError(reason);
    }
  }

  stop(): void {
    this.#poll.stop();
    this.#abort.abort();
  }
}

export async function preview(rule: RuleText, name: string, over: string, signal: AbortSignal): Promise<Preview> {
  return sendJson<Preview>("POST", "v1/alerts/preview", { name, rule, from: `now-${over}` }, { signal });
}

export async function putRule(name: string, rule: RuleText): Promise<Rule> {
  return sendJson<Rule>("PUT", `v1/alerts/rules/${encodeURIComponent(name)}`, rule);
}

export async function deleteRule(name: string): Promise<unknown> {
  return sendJson("DELETE", `v1/alerts/rules/${encodeURIComponent(name)}`);
}

export async function addSilence(matchers: readonly string[], length: string, comment: string): Promise<unknown> {
  return sendJson("POST", "v1/alerts/silences", { matchers, for: length, comment });
}

export async function removeSilence(id: string): Promise<unknown> {
  return sendJson("DELETE", `v1/alerts/silences/${encodeURIComponent(id)}`);
}

export async function testChannel(name: string): Promise<unknown> {
  return sendJson("POST", `v1/alerts/channels/${encodeURIComponent(name)}/test`, {});
}

export async function linesBehind(fingerprint: string, signal: AbortSignal): Promise<readonly string[]> {
  return (await getJson<{ lines: readonly string[] }>(`v1/alerts/instances/${fingerprint}/lines`, {}, signal)).lines;
}
