// A frame's rows as named values. Views may lack columns (someone changed the SQL): a missing one reads as null.

import type { Cell, Snapshot } from "../live/frames.ts";
import { parseInstant } from "../format/time.ts";

type Framed = Pick<Snapshot, "columns" | "rows" | "others">;

/** Health of the whole or of one endpoint in a stretch of time. */
export interface Health {
  readonly requests: number;
  readonly average: number | null;
  readonly p99: number | null;
  readonly serverErrors: number | null;
  readonly visitors: number | null;
}

export interface EndpointHealth extends Health {
  /** null: lines without an endpoint, unless `others`. */
  readonly endpoint: string | null;
  /** How many endpoints this row merges; 0 for a row of one endpoint. */
  readonly others: number;
}

export interface HealthAt extends Health {
  readonly start: number;
}

export const STATUS_CLASSES = ["2xx", "3xx", "4xx", "5xx", "other"] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

/** From this share of 5xx on, a number is shown as bad news; a lone error among thousands is not. */
export const ERROR_SHARE_BAD = 0.01;

export interface EndpointStatus {
  readonly endpoint: string | null;
  readonly others: number;
  readonly total: number;
  readonly byClass: Readonly<Record<StatusClass, number>>;
  /** Exact codes, ascending; null: lines without a status. */
  readonly codes: readonly { readonly code: number | null; readonly requests: number }[];
}

/** The whole range as one row, or null where nothing happened. */
export function overall(frame: Framed): Health | null {
  const row = frame.rows[0];
  const health = row === undefined ? null : readHealth(frame, row);
  return health === null || health.requests === 0 ? null : health;
}

/** Null where the view does not count errors. */
export function serverErrorShare(health: Health): number | null {
  return health.serverErrors === null ? null : health.serverErrors / Math.max(1, health.requests);
}

export function endpoints(frame: Framed): EndpointHealth[] {
  const at = column(frame, "endpoint");
  const merged = othersRow(frame, [at]);
  return frame.rows.map((row, index) => ({
    endpoint: text(row, at),
    others: index === merged ? frame.others : 0,
    ...readHealth(frame, row),
  }));
}

export function series(frame: Framed): HealthAt[] {
  const at = column(frame, "window_start");
  return frame.rows
    .map((row) => ({ start: parseInstant(text(row, at)) ?? Number.NaN, ...readHealth(frame, row) }))
    .filter((point) => !Number.isNaN(point.start));
}

/** One series an endpoint, without the row of all others. */
export function seriesByEndpoint(frame: Framed): Map<string, HealthAt[]> {
  const name = column(frame, "endpoint");
  const start = column(frame, "window_start");
  const found = new Map<string, HealthAt[]>();
  for (const row of frame.rows) {
    const endpoint = text(row, name);
    const ms = parseInstant(text(row, start));
    if (endpoint === null || ms === null) continue;
    const points = found.get(endpoint);
    const point = { start: ms, ...readHealth(frame, row) };
    if (points === undefined) found.set(endpoint, [point]);
    else points.push(point);
  }
  return found;
}

export function statuses(frame: Framed): EndpointStatus[] {
  const endpoint = column(frame, "endpoint");
  const status = column(frame, "status");
  const requests = column(frame, "requests");
  const groups = new Map<string, { endpoint: string | null; others: number; codes: Map<number | null, number> }>();
  for (const row of frame.rows) {
    const name = text(row, endpoint);
    // Lines without an endpoint and the merged rest are both null; the server names only the latter.
    const merged = name === null && frame.others > 0;
    const key = name === null ? "" : `=${name}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = { endpoint: name, others: merged ? frame.others : 0, codes: new Map() };
      groups.set(key, group);
    }
    const code = number(row, status);
    group.codes.set(code, (group.codes.get(code) ?? 0) + (number(row, requests) ?? 0));
  }
  return [...groups.values()].map(({ endpoint, others, codes }) => {
    const byClass: Record<StatusClass, number> = { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, other: 0 };
    let total = 0;
    for (const [code, n] of codes) {
      byClass[statusClass(code)] += n;
      total += n;
    }
    const sorted = [...codes].map(([code, n]) => ({ code, requests: n })).sort((a, b) => (a.code ?? 1e9) - (b.code ?? 1e9));
    return { endpoint, others, total, byClass, codes: sorted };
  });
}

export function statusClass(code: number | null): StatusClass {
  if (code === null) return "other";
  const hundreds = Math.floor(code / 100);
  return hundreds >= 2 && hundreds <= 5 ? (`${hundreds}xx` as StatusClass) : "other";
}

function readHealth(frame: Framed, row: readonly Cell[]): Health {
  return {
    requests: number(row, column(frame, "requests")) ?? 0,
    average: number(row, column(frame, "response_ms_avg")),
    p99: number(row, column(frame, "response_ms_p99")),
    serverErrors: number(row, column(frame, "server_errors")),
    visitors: number(row, column(frame, "visitors")),
  };
}

/** Index of the merged row: the last one whose keys are all null, if the frame says that it has one. */
function othersRow(frame: Framed, keys: readonly number[]): number {
  if (frame.others === 0) return -1;
  return frame.rows.findLastIndex((row) => keys.every((key) => row[key] === null));
}

function column(frame: Framed, name: string): number {
  return frame.columns.indexOf(name);
}

function text(row: readonly Cell[], at: number): string | null {
  const cell = row[at];
  return cell === null || cell === undefined ? null : String(cell);
}

function number(row: readonly Cell[], at: number): number | null {
  const cell = row[at];
  if (cell === null || cell === undefined || cell === "") return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}
