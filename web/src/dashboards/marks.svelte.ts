// What happened while the numbers were made: deploys, alerts and whatever else was told to /v1/annotations.

import { getJson } from "../api/http.ts";
import type { components, paths } from "../api/schema.d.ts";
import { poll } from "../api/poll.ts";
import type { Mark } from "../charts/timeChart.ts";
import { parseInstant } from "../format/time.ts";

type Annotation = components["schemas"]["Annotation"];
type Change = paths["/v1/alerts/history"]["get"]["responses"]["200"]["content"]["application/json"]["history"][number];

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
            const told = await getJson<{ annotations: readonly Annotation[] }>("v1/annotations", query, signal);
            const fired = shown.includes("alert") ? await getJson<{ history: readonly Change[] }>("v1/alerts/history", {}, signal) : { history: [] };
            this.list = [...told.annotations.filter(({ kind }) => shown.includes(kind)).flatMap(markOf), ...fired.history.filter(({ to }) => to === "firing").flatMap(markOfAlert)].sort((a, b) => a.at - b.at);
          } catch {
            // Charts without marks are still right; the next round asks again.
          }
        },
      );
      return () => running.stop();
    });
  }
}

function markOf({ at, kind, text }: Annotation): Mark[] {
  const ms = parseInstant(at);
  return ms === null ? [] : [{ at: ms, kind, text: `${kind}: ${text}` }];
}

function markOfAlert({ at, title, key }: Change): Mark[] {
  const ms = parseInstant(at);
  const of = Object.values(key).filter((value) => value !== null).join(", ");
  return ms === null ? [] : [{ at: ms, kind: "alert", text: `alert: ${title}${of === "" ? "" : `, ${of}`}` }];
}
