// Who uses this page, as the node knows it. Everything that is refused with 401 ends up here, and the page shows the log-in.

import { RequestFailed, getJson, sendJson } from "../api/http.ts";

export interface SessionInfo {
  readonly login_required: boolean;
  readonly kind: "user" | "key" | "anyone" | null;
  readonly name: string | null;
  readonly scopes: readonly string[];
  readonly by_session: boolean;
}

export type Scope = "ingest" | "query" | "admin";
/** asking: not known yet. in: known, or nobody need be. out: the node wants a log-in. */
export type SessionState = "asking" | "in" | "out";

const ASK_MS_MAX = 3_000;

class Session {
  state = $state<SessionState>("asking");
  info = $state.raw<SessionInfo | null>(null);
  /** Somebody was in: what stands on the page is kept while he logs in again. */
  wasIn = $state(false);
  readonly #onEnter = new Set<() => void>();
  #asked: Promise<boolean> | null = null;

  /** Looks who is in. True if the node answers and lets this page in. */
  ask(): Promise<boolean> {
    this.#asked ??= this.#ask().finally(() => (this.#asked = null));
    return this.#asked;
  }

  /** Calls `work` each time somebody has come in after having been out; the result ends that. */
  onEnter(work: () => void): () => void {
    this.#onEnter.add(work);
    return () => this.#onEnter.delete(work);
  }

  /** In all streams, or in some at least. */
  may(scope: Scope): boolean {
    // A node that cannot be asked says itself what it refuses.
    return this.info === null || this.info.scopes.some((each) => each === scope || each.startsWith(`${scope}:`));
  }

  /** What belongs to the node as a whole. */
  mayAll(scope: Scope): boolean {
    return this.info === null || this.info.scopes.some((each) => each === scope || each === `${scope}:logs`);
  }

  /** Throws RequestFailed. */
  async logIn(name: string, password: string): Promise<void> {
    this.#take(await sendJson<SessionInfo>("POST", "v1/login", { name, password }));
  }

  async logOut(): Promise<void> {
    await sendJson("POST", "v1/logout", {});
    this.wasIn = false; // another person may come: nothing of this one is left standing
    await this.ask();
  }

  /** A request was refused with 401: the session has ended, or somebody has made the first user meanwhile. */
  refused(): void {
    if (this.state === "in") void this.ask();
  }

  async #ask(): Promise<boolean> {
    try {
      this.#take(await getJson<SessionInfo>("v1/session", {}, AbortSignal.timeout(ASK_MS_MAX)));
    } catch (reason) {
      // An older node has no log-in; one that is away tells its own story in the badge of the connection.
      if (this.state === "asking") this.#enter(null);
      return reason instanceof RequestFailed && reason.status === 404;
    }
    return this.state === "in";
  }

  #take(info: SessionInfo): void {
    if (info.login_required && info.kind === null) {
      this.info = null;
      this.state = "out";
    } else {
      this.#enter(info);
    }
  }

  #enter(info: SessionInfo | null): void {
    const wasOut = this.state === "out";
    this.info = info;
    this.state = "in";
    this.wasIn = true;
    if (wasOut) for (const work of this.#onEnter) work();
  }
}

export const session = new Session();

/** Has every request of the page noticed that is refused with 401, whoever makes it. */
export function watchRequests(): void {
  const plain = globalThis.fetch.bind(globalThis);
  globalThis.fetch = async (input, init) => {
    const answer = await plain(input, init);
    if (answer.status === 401 && !answer.url.endsWith("/v1/login")) session.refused();
    return answer;
  };
}
