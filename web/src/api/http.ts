// GET over the same origin, with the API's one error shape turned into an exception.

import type { ApiError } from "../live/frames.ts";

export class RequestFailed extends Error {
  readonly error: ApiError;
  constructor(error: ApiError) {
    super(error.message);
    this.error = error;
  }
}

export async function getJson<T>(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<T> {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const answer = await fetch(url, { signal, headers: { accept: "application/json" } });
  if (answer.ok) return (await answer.json()) as T;
  throw await failed(answer);
}

/** What to throw for an answer that is no success. */
export async function failed(answer: Response): Promise<RequestFailed> {
  return new RequestFailed(await readError(answer));
}

/** POST, PUT or DELETE, with a JSON body where there is one. */
export async function sendJson<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const asked: RequestInit = { method, headers };
  if (body !== undefined) asked.body = JSON.stringify(body);
  if (signal !== undefined) asked.signal = signal;
  const answer = await fetch(new URL(path, document.baseURI), asked);
  if (answer.ok) return (await answer.json()) as T;
  throw new RequestFailed(await readError(answer));
}

/** Whether a GET is answered with success in time. */
export async function answers(url: string, withinMs: number): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(withinMs), cache: "no-store" })).ok;
  } catch {
    return false;
  }
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
