// Requests over the same origin, with the API's one error shape turned into an exception.

import type { ApiError } from "../live/frames.ts";

export class RequestFailed extends Error {
  readonly error: ApiError;
  readonly status: number;
  constructor(error: ApiError, status = 0) {
    super(error.message);
    this.error = error;
    this.status = status;
  }
}

export async function getJson<T>(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<T> {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const answer = await fetch(url, { signal, headers: { accept: "application/json" } });
  if (answer.ok) return (await answer.json()) as T;
  throw new RequestFailed(await readError(answer), answer.status);
}

interface More {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A request that changes something, or asks with a body. */
export async function sendJson<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown, more: More = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }), ...more.headers };
  const asked: RequestInit = { method, headers, body: body === undefined ? null : JSON.stringify(body), ...(more.signal === undefined ? {} : { signal: more.signal }) };
  const answer = await fetch(new URL(path, document.baseURI), asked);
  if (answer.ok) return (await answer.json()) as T;
  throw new RequestFailed(await readError(answer), answer.status);
}

async function readError(answer: Response): Promise<ApiError> {
  try {
    const body = (await answer.json()) as { error?: ApiError };
    if (body.error !== undefined) return body.error;
  } catch {
    // Not the API's own answer (a proxy in between, say): the status has to do.
  }
  return { code: "http", message: `the server answered ${answer.status} ${answer.statusText}`.trim() };
}

export function asApiError(reason: unknown): ApiError {
  if (reason instanceof RequestFailed) return reason.error;
  return { code: "unreachable", message: "the node cannot be reached", hint: "is `tailrace up` still running?" };
}
