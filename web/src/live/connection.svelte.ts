// The one WebSocket of this tab. Panels subscribe here; it connects, resubscribes after a break, and lets go while hidden.

import { session } from "../access/session.svelte.ts";
import { backoffMs } from "./backoff.ts";
import { clock } from "./clock.svelte.ts";
import { parseFrame, type ApiError, type Snapshot, type Subscription } from "./frames.ts";

export type ConnectionState = "connecting" | "live" | "stale" | "reconnecting";

export interface Listener {
  snapshot(frame: Snapshot): void;
  error(error: ApiError): void;
}

interface Entry {
  readonly spec: Subscription;
  readonly listener: Listener;
  lastSeq: number;
}

/** The server sends something at least every 5 s. */
const STALE_AFTER_MS = 11_000;
const DEAD_AFTER_MS = 20_000;
const WATCH_MS = 1_000;
/** A tab that is only glanced away from keeps its link. */
const HIDDEN_GRACE_MS = 5_000;
/** A try that hangs, in a node that is only half there or in the browser's own queue, must not hold up the next one. */
const ATTEMPT_MS_MAX = 3_000;
const RETRY_MS_MAX = 3_000;
/** A break that is shorter is none to the eye. */
const LOST_AFTER_MS = 3_000;

export class LiveConnection {
  state = $state<ConnectionState>("connecting");
  /** Updates that the server skipped for this page because it could not keep up. */
  dropped = $state(0);
  /** Once the link is lost for long enough that the numbers are no longer live: when the last frame came, in epoch ms. Else null. */
  asOf = $state<number | null>(null);

  readonly #url: string;
  readonly #entries = new Map<string, Entry>();
  #pending = new Map<string, Snapshot>();
  #socket: WebSocket | null = null;
  #attempt = 0;
  #lastHeard = 0;
  #lastFrame: number | null = null;
  #attemptedAt = 0;
  #nextId = 1;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #attemptTimer: ReturnType<typeof setTimeout> | undefined;
  #lostTimer: ReturnType<typeof setTimeout> | undefined;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #flushing = 0;

  constructor(url: string) {
    this.#url = url;
    setInterval(() => this.#watch(), WATCH_MS);
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
    addEventListener("online", () => this.#connectNow());
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", () => this.#connectNow());
    session.onEnter(() => this.#connectNow());
    void session.ask().then(() => this.#connectNow());
  }

  /** Starts a subscription; the result ends it. */
  subscribe(spec: Subscription, listener: Listener): () => void {
    const sub = `s${this.#nextId++}`;
    this.#entries.set(sub, { spec, listener, lastSeq: -1 });
    this.#send({ op: "subscribe", sub, ...spec });
    return () => {
      this.#entries.delete(sub);
      this.#pending.delete(sub);
      this.#send({ op: "unsubscribe", sub });
    };
  }

  #connectNow(): void {
    if (this.#socket !== null || document.visibilityState === "hidden" || session.state !== "in") return;
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#attemptedAt = Date.now();
    this.#lastHeard = this.#attemptedAt;
    this.#attemptTimer = setTimeout(() => this.#giveUp(), ATTEMPT_MS_MAX);
    this.#loseSoon();
    socket.onopen = () => {
      clearTimeout(this.#attemptTimer);
      this.#lastHeard = Date.now();
      for (const [sub, entry] of this.#entries) {
        entry.lastSeq = -1;
        this.#send({ op: "subscribe", sub, ...entry.spec });
      }
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (socket === this.#socket && typeof event.data === "string") this.#heard(event.data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#giveUp();
    };
  }

  /** Leaves this socket, and tries a new one later; the time that the last try took counts as waited. */
  #giveUp(): void {
    this.#drop();
    this.state = "reconnecting";
    this.#loseSoon();
    const due = this.#attemptedAt + backoffMs(this.#attempt++, RETRY_MS_MAX, Math.random());
    this.#retryTimer = setTimeout(() => void this.#connectOnceThere(), Math.max(0, due - Date.now()));
  }

  /**
   * After a break a plain request looks for the node first: Chromium holds back each further WebSocket for up to 5 s once a dozen or so
   * have failed, so a page that only tried those would be late after a long outage. It also tells whether the session has ended: then
   * nothing is tried until somebody has logged in.
   */
  async #connectOnceThere(): Promise<void> {
    if (document.visibilityState === "hidden") return;
    this.#attemptedAt = Date.now();
    const there = await session.ask();
    if (this.#socket !== null || session.state !== "in") return;
    if (there) this.#connectNow();
    else this.#giveUp();
  }

  /** Unless a frame comes first. */
  #loseSoon(): void {
    this.#lostTimer ??= setTimeout(() => (this.asOf = this.#lastFrame), LOST_AFTER_MS);
  }

  #heard(text: string): void {
    const frame = parseFrame(text);
    this.#lastHeard = Date.now();
    this.#lastFrame = this.#lastHeard;
    this.#attempt = 0;
    this.state = "live";
    this.asOf = null;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    if (frame === null) return;
    if (frame.kind === "heartbeat") clock.hear(frame.server_now);
    else if (frame.kind === "gap") this.dropped += frame.dropped;
    else if (frame.kind === "error") {
      if (frame.sub !== undefined) this.#entries.get(frame.sub)?.listener.error(frame.error);
    } else {
      const entry = this.#entries.get(frame.sub);
      if (entry === undefined || frame.seq <= entry.lastSeq) return;
      entry.lastSeq = frame.seq;
      clock.hear(frame.server_now);
      this.#pending.set(frame.sub, frame);
      if (this.#flushing === 0) this.#flushing = requestAnimationFrame(() => this.#flush());
    }
  }

  /** All that came since the last animation frame, once, newest only. */
  #flush(): void {
    this.#flushing = 0;
    const pending = this.#pending;
    this.#pending = new Map();
    for (const [sub, frame] of pending) this.#entries.get(sub)?.listener.snapshot(frame);
  }

  #watch(): void {
    if (this.#socket === null) return;
    const silent = Date.now() - this.#lastHeard;
    if (silent > DEAD_AFTER_MS) {
      this.#giveUp();
    } else if (silent > STALE_AFTER_MS && this.state === "live") {
      this.state = "stale";
      this.asOf = this.#lastFrame;
    }
  }

  #visibilityChanged(): void {
    clearTimeout(this.#hiddenTimer);
    if (document.visibilityState === "hidden") {
      this.#hiddenTimer = setTimeout(() => this.#drop(), HIDDEN_GRACE_MS);
    } else {
      this.#attempt = 0;
      this.#connectNow();
    }
  }

  #drop(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#attemptTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

const url = new URL("v1/live", document.baseURI);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
url.search = "";
url.hash = "";

export const live = new LiveConnection(url.href);
