// What happened while the numbers were made: deploys, alerts and whatever else was told to /v1/annotations.

import { getJson } from "../api/http.ts";
import { poll } from "../api/poll.ts";
import type { Mark } from "../charts/timeChart.ts";
import { parseInstant } from "../format/time.ts";

interface Told {
  readonly at: string;
  readonly kind: string;
  readonly text: string;
}

const EVERY_MS = 15_000;

export class Marks {
  list = $state.raw<readonly Mark[]>([]);

  /** Must be made while a component is set up: it ends with it. */
  constructor(range: () => { readonly from: number; readonly to: number | null }, kinds: () => readonly string[]) {
    $effect(() => {
      const shown = kinds();
      if (shown.length === 0) {
        this.list = [];
        return undefined;
      }
      const running = poll(
        () => EVERY_MS,
        async (signal) => {
          const { from, to } = range();
          const query = { from: new Date(from).toISOString(), ...(to === null ? {} : { to: new Date(to).toISOString() }) };
          try {
            const { annotations } = await getJson<{ annotations: readonly Told[] }>("v1/annotations", query, signal);
            this.list = annotations.filter(({ kind }) => shown.includes(kind)).flatMap(({ at, kind, text }) => {
              const ms = parseInstant(at);
              return ms === null ? [] : [{ at: ms, kind, text: `${kind}: ${text}` }];
            });
          } catch {
            // Charts without marks are still right; the next round asks again.
          }
        },
      );
      return () => running.stop();
    });
  }
}
