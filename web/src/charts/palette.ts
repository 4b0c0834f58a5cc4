// The colours of the page as a canvas needs them. Their one home is styles/tokens.css.

import { STATUS_CLASSES, type StatusClass } from "../model/rows.ts";

export interface Palette {
  readonly text: string;
  readonly muted: string;
  readonly grid: string;
  readonly track: string;
  readonly accent: string;
  readonly accentSoft: string;
  readonly traffic: string;
  readonly trafficSoft: string;
  readonly good: string;
  readonly warn: string;
  readonly bad: string;
  readonly shade: string;
  readonly panel: string;
  readonly font: string;
  readonly lines: readonly string[];
  readonly status: Readonly<Record<StatusClass, string>>;
}

/** Lines of the overview. */
export const LINE_COLOURS = 5;
/** Colours that there are; more series than that begin again. */
export const SERIES_COLOURS = 8;

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: read("text"),
    muted: read("muted"),
    grid: read("chart-grid"),
    track: read("chart-track"),
    accent: read("chart-accent"),
    accentSoft: read("chart-accent-soft"),
    traffic: read("chart-traffic"),
    trafficSoft: read("chart-traffic-soft"),
    good: read("good"),
    warn: read("warn"),
    bad: read("bad"),
    shade: read("chart-shade"),
    panel: read("panel"),
    font: read("font"),
    lines: Array.from({ length: SERIES_COLOURS }, (_, i) => read(`chart-line-${i + 1}`)),
    status: Object.fromEntries(STATUS_CLASSES.map((name) => [name, read(`status-${name}`)])) as Record<StatusClass, string>,
  };
}
