// PUT, POST and DELETE over the same origin, with the API's one error shape turned into an exception.

import { failed } from "./http.ts";

interface Wish {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export async function send<T>(method: "PUT" | "POST" | "DELETE", path: string, wish: Wish = {}): Promise<T> {
  const answer = await fetch(new URL(path, document.baseURI), {
    method,
    headers: { accept: "application/json", ...(wish.body === undefined ? {} : { "content-type": "application/json" }), ...wish.headers },
    ...(wish.body === undefined ? {} : { body: JSON.stringify(wish.body) }),
    ...(wish.signal === undefined ? {} : { signal: wish.signal }),
  });
  if (!answer.ok) throw await failed(answer);
  return (answer.status === 204 ? null : await answer.json()) as T;
}
