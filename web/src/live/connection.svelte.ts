// The one WebSocket of this tab. Panels subscribe here; it connects, resubscribes after a break, and lets go while hidden.

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

export class LiveConnection {
  state = $state<ConnectionState>("connecting");
  /** Updates that the server skipped for this page because it could not keep up. */
  dropped = $state(0);
  /** When the next try to connect is due, in epoch ms; null while connected or trying. */
  retryAt = $state<number | null>(null);

  readonly #url: string;
  readonly #entries = new Map<string, Entry>();
  #pending = new Map<string, Snapshot>();
  #socket: WebSocket | null = null;
  #attempt = 0;
  #lastHeard = 0;
  #nextId = 1;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #flushing = 0;

  constructor(url: string) {
    this.#url = url;
    setInterval(() => this.#watch(), WATCH_MS);
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
    addEventListener("online", () => this.#connectNow());
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", () => this.#connectNow());
    this.#connectNow();
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

  reconnect(): void {
    this.#drop();
    this.#connectNow();
  }

  #connectNow(): void {
    if (this.#socket !== null || document.visibilityState === "hidden") return;
    clearTimeout(this.#retryTimer);
    this.retryAt = null;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#lastHeard = Date.now();
    socket.onopen = () => {
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
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#retryLater();
    };
  }

  #retryLater(): void {
    this.state = "reconnecting";
    const wait = backoffMs(this.#attempt++, Math.random());
    this.retryAt = Date.now() + wait;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#connectNow(), wait);
  }

  #heard(text: string): void {
    const frame = parseFrame(text);
    this.#lastHeard = Date.now();
    this.#attempt = 0;
    this.state = "live";
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
      this.#drop();
      this.#retryLater();
    } else if (silent > STALE_AFTER_MS && this.state === "live") {
      this.state = "stale";
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
