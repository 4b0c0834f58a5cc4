// The node's clock as this page knows it, ticking four times a second while somebody looks.

import { parseInstant } from "../format/time.ts";

const TICK_MS = 250;
/** Below this an offset is network jitter, not a clock that is wrong. */
const JITTER_MS = 150;

class ServerClock {
  #offset = 0;
  /** The node's time now, in epoch milliseconds; reading it in a template keeps that text fresh. */
  now = $state(Date.now());

  constructor() {
    const tick = (): void => {
      if (document.visibilityState === "visible") this.now = Date.now() + this.#offset;
    };
    setInterval(tick, TICK_MS);
    document.addEventListener("visibilitychange", tick);
  }

  /** The node's time at this moment, for code that must not run again at each tick. */
  nowOnce(): number {
    return Date.now() + this.#offset;
  }

  /** Learns from a frame's `server_now`. */
  hear(serverNow: string | null | undefined): void {
    const told = parseInstant(serverNow);
    if (told === null) return;
    const offset = told - Date.now();
    if (Math.abs(offset - this.#offset) > JITTER_MS) this.#offset = offset;
  }
}

export const clock = new ServerClock();
