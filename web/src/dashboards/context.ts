// What the panels of a dashboard may ask of the page around them.

import type { Mark } from "../charts/timeChart.ts";
import type { PanelModel } from "./model.ts";
import type { PanelQuery, Scope } from "./panelQuery.svelte.ts";

/** What was pointed at: values of keys, and a stretch of time (ms). */
export interface Pick {
  readonly keys: Readonly<Record<string, string | null>>;
  readonly from: number | null;
  readonly to: number | null;
}

export interface KindProps {
  readonly panel: PanelModel;
  readonly query: PanelQuery;
  readonly scope: Scope;
  /** Room for the content, in px. */
  readonly width: number;
  readonly height: number;
  readonly marks: readonly Mark[];
  /** To the records behind it. */
  readonly onpick: (pick: Pick) => void;
  readonly onzoom: (from: number, to: number) => void;
}
