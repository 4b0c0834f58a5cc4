// What Explore asks of the node: POST /v1/search and what is below it.

import { RequestFailed } from "../api/http.ts";
import type { ApiError } from "../live/frames.ts";

/** Which records: a search or an SQL condition, and a stretch of time. */
export interface Scope {
  readonly query?: string;
  readonly sql?: string;
  readonly from?: string;
  readonly to?: string;
  readonly at?: string;
}

export interface Column {
  readonly name: string;
  readonly type: string;
}

export type Row = readonly unknown[];

export interface Page {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly cursor: string | null;
  readonly position: string;
  readonly rows_scanned: number;
  readonly elapsed_ms: number;
}

export interface Sampled {
  readonly exact: boolean;
  readonly rows_read: number;
  readonly rows_in_range: number;
}

export interface Histogram extends Sampled {
  readonly step_ms: number;
  readonly starts: readonly string[];
  readonly end: string | null;
  readonly series: readonly { value: string | null; others: boolean; counts: readonly number[] }[];
  readonly total: number;
}

export interface FoundField {
  readonly name: string;
  readonly type: string;
  readonly unit: string | null;
  readonly share: number;
  readonly distinct: number;
}

export interface FoundValues extends Sampled {
  readonly values: readonly { value: string; count: number; share: number }[];
  readonly present: number;
  readonly records: number;
  readonly distinct: number;
  readonly numbers: null | { min: number; max: number; mean: number; p50: number; p95: number; p99: number; unit: string | null };
}

export interface ComparedField {
  readonly field: string;
  readonly unit: string | null;
  readonly difference: number;
  readonly values: readonly { value: string | null; others: boolean; selection_share: number; baseline_share: number }[];
}

export interface Compared {
  readonly fields: readonly ComparedField[];
  readonly left_out: readonly string[];
  readonly selection: Sampled & { records: number };
  readonly baseline: Sampled & { records: number };
}

export interface SavedSearch {
  readonly name: string;
  readonly title: string;
  readonly query: string;
  readonly sql: string | null;
  readonly columns: readonly string[];
  readonly group_by: string | null;
  readonly range: string | null;
}

/** An error with its place in the search, where the server says one. */
export interface PlacedError extends ApiError {
  readonly line?: number;
  readonly column?: number;
  readonly length?: number;
}

export async function send(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const init: RequestInit = { method, headers: { "content-type": "application/json" } };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal !== undefined) init.signal = signal;
  const answer = await fetch(new URL(path, document.baseURI), init);
  if (answer.ok) return answer;
  let error: ApiError = { code: "http", message: `the server answered ${answer.status}` };
  try {
    error = ((await answer.json()) as { error: ApiError }).error;
  } catch {
    // Not the API's own answer; the status has to do.
  }
  throw new RequestFailed(error);
}

export async function ask<T>(question: string, body: unknown, signal: AbortSignal): Promise<T> {
  return (await (await send("POST", `v1/search${question}`, body, signal)).json()) as T;
}
