// What a dashboard is: the JSON of its file, as the node's /v1/dashboards/schema has it. The node fills in what a file leaves out.

export const KINDS = ["number", "gauge", "line", "area", "bar", "heatmap", "table", "top", "map", "text", "logs"] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_WORDS: Readonly<Record<Kind, string>> = {
  number: "Number",
  gauge: "Gauge",
  line: "Line",
  area: "Area",
  bar: "Bars",
  heatmap: "Heatmap",
  table: "Table",
  top: "Top list",
  map: "World map",
  text: "Text",
  logs: "Log lines",
};

export const COLUMNS = 24;
export const ROW_PX = 40;
/** Below this width all panels stand one below the other. */
export const STACKED_BELOW_PX = 720;

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface ViewData {
  readonly view: string;
  readonly fields: readonly string[];
  readonly by: string | null;
  readonly where: string | null;
  readonly step: string;
  readonly over: string | null;
  readonly limit: number;
  readonly order: string | null;
  readonly total: boolean;
}

export interface SqlData {
  readonly sql: string;
}

export type PanelData = ViewData | SqlData;

export interface Threshold {
  readonly value: number;
  readonly level: "good" | "warn" | "bad";
}

export interface Options {
  readonly unit: string;
  readonly decimals: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly thresholds: readonly Threshold[];
  readonly orientation: "vertical" | "horizontal";
  readonly stacked: boolean;
  readonly legend: boolean;
  readonly columns: readonly string[];
  readonly text: string;
  readonly search: string;
  readonly rate: boolean;
  readonly region: string;
}

export interface PanelModel {
  readonly id: string;
  readonly kind: Kind;
  readonly title: string;
  readonly description: string;
  readonly place: Place;
  readonly data: PanelData | null;
  readonly options: Options;
}

export interface Variable {
  readonly name: string;
  readonly label: string;
  readonly view: string | null;
  readonly field: string | null;
  readonly values: readonly string[];
  readonly multi: boolean;
  readonly default: readonly string[];
}

export interface Dashboard {
  readonly version: 1;
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly time: { readonly over: string } | { readonly from: string; readonly to: string };
  readonly live: boolean;
  readonly compare: string | null;
  readonly variables: readonly Variable[];
  readonly annotations: readonly string[];
  readonly panels: readonly PanelModel[];
}

export const OPTIONS: Options = {
  unit: "",
  decimals: null,
  min: null,
  max: null,
  thresholds: [],
  orientation: "vertical",
  stacked: false,
  legend: true,
  columns: [],
  text: "",
  search: "",
  rate: false,
  region: "",
};

const VIEW_DATA: ViewData = {
  view: "overall_health",
  fields: ["requests"],
  by: null,
  where: null,
  step: "auto",
  over: null,
  limit: 5,
  order: null,
  total: false,
};

export function isSql(data: PanelData | null): data is SqlData {
  return data !== null && "sql" in data;
}

/** Whether a panel of this kind shows windows side by side; the others show one number a key. */
export function isTimed(kind: Kind): boolean {
  return kind === "line" || kind === "area" || kind === "heatmap";
}

export function needsData(kind: Kind): boolean {
  return kind !== "text" && kind !== "logs";
}

export function newPanel(kind: Kind, panels: readonly PanelModel[]): PanelModel {
  const small = kind === "number" || kind === "gauge";
  const size = kind === "logs" ? { w: 24, h: 8 } : small ? { w: 6, h: 5 } : { w: 12, h: 7 };
  return {
    id: freeId(panels),
    kind,
    title: kind === "text" ? "" : `New ${KIND_WORDS[kind].toLowerCase()}`,
    description: "",
    place: { ...size, x: 0, y: bottom(panels) },
    data: needsData(kind) ? dataFor(kind, VIEW_DATA) : null,
    options: kind === "text" ? { ...OPTIONS, text: "## Heading\n\nWrite *Markdown* here." } : OPTIONS,
  };
}

/** The same data as a panel of another kind needs it. */
export function dataFor(kind: Kind, data: PanelData | null): PanelData | null {
  if (!needsData(kind)) return null;
  if (data === null) return { ...VIEW_DATA, total: !isTimed(kind) };
  return isSql(data) ? data : { ...data, total: !isTimed(kind) };
}

export function duplicate(panel: PanelModel, panels: readonly PanelModel[]): PanelModel {
  const { w, h, x, y } = panel.place;
  const beside = x + 2 * w <= COLUMNS && !panels.some((other) => overlaps(other.place, { x: x + w, y, w, h }));
  const place = beside ? { x: x + w, y, w, h } : { x, y: bottom(panels), w, h };
  return { ...panel, id: freeId(panels), title: panel.title === "" ? "" : `${panel.title} (copy)`, place };
}

export function overlaps(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

export function bottom(panels: readonly PanelModel[]): number {
  return Math.max(0, ...panels.map(({ place }) => place.y + place.h));
}

/** Reading order: from top to bottom, then from left to right. */
export function inOrder(panels: readonly PanelModel[]): PanelModel[] {
  return [...panels].sort((a, b) => a.place.y - b.place.y || a.place.x - b.place.x);
}

function freeId(panels: readonly PanelModel[]): string {
  const taken = new Set(panels.map((panel) => panel.id));
  let n = panels.length + 1;
  while (taken.has(`p${n}`)) n += 1;
  return `p${n}`;
}

/** A title as a name for a file: "Über uns, 2" -> "ber-uns-2". */
export function uidFrom(title: string, taken: readonly string[]): string {
  const plain = title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 56) || "dashboard";
  if (!taken.includes(plain)) return plain;
  let n = 2;
  while (taken.includes(`${plain}-${n}`)) n += 1;
  return `${plain}-${n}`;
}

export function emptyDashboard(uid: string, title: string): Dashboard {
  return {
    version: 1,
    uid,
    title,
    description: "",
    tags: [],
    time: { over: "15m" },
    live: true,
    compare: null,
    variables: [],
    annotations: ["deploy", "alert"],
    panels: [],
  };
}
