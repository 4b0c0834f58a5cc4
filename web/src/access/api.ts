// Users, keys, sessions and the audit, as the node lists them.

import { getJson, sendJson } from "../api/http.ts";

export interface User {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created: string;
  readonly sessions: number;
  readonly seen: string | null;
}

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created: string | null;
  readonly created_by: string;
  readonly expires: string | null;
  readonly used: string | null;
  readonly signs: boolean;
  readonly source: "made" | "settings";
}

export interface OpenSession {
  readonly id: string;
  readonly kind: "user" | "key";
  readonly name: string;
  readonly created: string;
  readonly seen: string;
  readonly address: string;
  readonly agent: string;
  readonly own: boolean;
}

export interface AuditEntry {
  readonly at: string;
  readonly actor: string;
  readonly address: string;
  readonly action: string;
  readonly target: string;
  readonly outcome: string;
  readonly detail: string;
}

export interface AccessLists {
  readonly users: readonly User[];
  readonly keys: readonly Key[];
  readonly sessions: readonly OpenSession[];
  readonly audit: readonly AuditEntry[];
}

export async function loadLists(signal: AbortSignal): Promise<AccessLists> {
  const [users, keys, sessions, audit] = await Promise.all([
    getJson<{ users: User[] }>("v1/users", {}, signal),
    getJson<{ keys: Key[] }>("v1/keys", {}, signal),
    getJson<{ sessions: OpenSession[] }>("v1/sessions", {}, signal),
    getJson<{ entries: AuditEntry[] }>("v1/audit", { limit: "100" }, signal),
  ]);
  return { users: users.users, keys: keys.keys, sessions: sessions.sessions, audit: audit.entries };
}

export function addUser(name: string, scopes: readonly string[], password: string): Promise<{ name: string; password: string | null }> {
  return sendJson("POST", "v1/users", { name, scopes, password: password === "" ? null : password });
}

export function newPassword(name: string): Promise<{ name: string; password: string | null }> {
  return sendJson("PATCH", `v1/users/${encodeURIComponent(name)}`, { new_password: true });
}

export function setScopes(name: string, scopes: readonly string[]): Promise<unknown> {
  return sendJson("PATCH", `v1/users/${encodeURIComponent(name)}`, { scopes });
}

export function removeUser(name: string): Promise<unknown> {
  return sendJson("DELETE", `v1/users/${encodeURIComponent(name)}`);
}

export function addKey(name: string, scopes: readonly string[], expires: string, signs: boolean): Promise<{ id: string; secret: string }> {
  return sendJson("POST", "v1/keys", { name, scopes, expires: expires === "" ? null : expires, signs });
}

export function revokeKey(id: string): Promise<unknown> {
  return sendJson("DELETE", `v1/keys/${encodeURIComponent(id)}`);
}

export function endSession(id: string): Promise<unknown> {
  return sendJson("DELETE", `v1/sessions/${encodeURIComponent(id)}`);
}

export function changePassword(current: string, next: string): Promise<{ sessions_ended: number }> {
  return sendJson("POST", "v1/password", { current, new: next });
}

/** Scopes as the node writes them, from those that are ticked and the streams that they are limited to (none: all). */
export function scopesOf(ticked: readonly string[], streams: string): string[] {
  const names = streams.split(/[\s,]+/).filter((each) => each !== "");
  return names.length === 0 ? [...ticked] : ticked.flatMap((scope) => names.map((name) => `${scope}:${name}`));
}

/** The reverse, where it can be said so: which are ticked, and the streams that all of them are limited to. */
export function ticksOf(scopes: readonly string[]): { ticked: string[]; streams: string } {
  const ticked = [...new Set(scopes.map((each) => each.split(":")[0] ?? each))];
  const streams = [...new Set(scopes.map((each) => each.split(":")[1] ?? ""))].filter((each) => each !== "");
  return { ticked, streams: streams.join(", ") };
}
