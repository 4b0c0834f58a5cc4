// The frames of WS /v1/live, as the server sends them, and the reading of them.

export type Cell = string | number | boolean | null;

export interface Subscription {
  readonly view: string;
  /** "60s", "5m", "1h": how far back from the node's clock. */
  readonly over: string;
  readonly step: string | null;
  /** true: all windows merged into one row a key. */
  readonly total: boolean;
  readonly where: string | null;
  readonly top: { readonly by: string; readonly n: number; readonly key?: string } | null;
  /** Only these of the view's keys; rows that differ in the others alone are merged. Left out: all. */
  readonly keys?: readonly string[];
}

export interface ApiError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** The whole result of a subscription at one moment. `/v1/views/{name}` answers with a subset of it. */
export interface Snapshot {
  readonly sub: string;
  readonly seq: number;
  readonly kind: "snapshot";
  readonly view: string;
  readonly version: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Number of keys merged into the row whose keys are all null. */
  readonly others: number;
  readonly complete_through: string | null;
  readonly drift_rows: number;
  /** The view has more keys than the speed layer holds: the numbers are those up to the frontier. */
  readonly batch_only: boolean;
  readonly frontier: Readonly<Record<string, number>>;
  readonly newest_event_at: string | null;
  readonly computed_at: string;
  readonly server_now: string;
}

export type Frame =
  | Snapshot
  | { readonly kind: "heartbeat"; readonly server_now: string }
  | { readonly kind: "error"; readonly sub?: string; readonly error: ApiError }
  | { readonly kind: "gap"; readonly sub: string; readonly dropped: number };

/** A frame, or null where the text is none: a newer server may send kinds that this page does not know. */
export function parseFrame(text: string): Frame | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("kind" in value)) return null;
  switch (value.kind) {
    case "snapshot":
      return "rows" in value && "columns" in value && "sub" in value ? (value as Snapshot) : null;
    case "heartbeat":
    case "error":
    case "gap":
      return value as Frame;
    default:
      return null;
  }
}
