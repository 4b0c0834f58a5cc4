// Tooltips as DOM nodes with text in them. ECharts would take strings as HTML, and strings come from logs.

export interface TooltipRow {
  readonly colour?: string;
  /** Striped swatch, as the bar itself is. */
  readonly striped?: boolean;
  readonly name: string;
  readonly value: string;
}

export function tooltipNode(title: string, rows: readonly TooltipRow[], note?: string): HTMLElement {
  const box = document.createElement("div");
  box.className = "chart-tip";
  box.append(block("chart-tip-title", title));
  for (const row of rows) {
    const line = block("chart-tip-row", "");
    const swatch = block(row.striped ? "chart-tip-swatch striped" : "chart-tip-swatch", "");
    if (row.colour !== undefined) swatch.style.backgroundColor = row.colour;
    else swatch.classList.add("none");
    line.append(swatch, block("chart-tip-name", row.name), block("chart-tip-value", row.value));
    box.append(line);
  }
  if (note !== undefined) box.append(block("chart-tip-note", note));
  return box;
}

function block(className: string, text: string): HTMLElement {
  const node = document.createElement("div");
  node.className = className;
  node.textContent = text;
  return node;
}

const GAP = 14;

/** Beside the pointer, on the side where there is room. `point` and the result are in the chart's own coordinates. */
export function placeTooltip(chart: DOMRect, point: readonly [number, number], size: { readonly contentSize: readonly [number, number] }): [number, number] {
  const [width, height] = size.contentSize;
  const right = point[0] + GAP;
  const x = chart.left + right + width > innerWidth - 8 ? point[0] - GAP - width : right;
  const y = point[1] - height / 2;
  const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(value, high));
  return [clamp(x, 8 - chart.left, innerWidth - 8 - width - chart.left), clamp(y, 8 - chart.top, innerHeight - 8 - height - chart.top)];
}

/** Shared by all charts: drawn in the page's own style, on top of everything; Chart.svelte keeps it inside the window. */
export const TOOLTIP = {
  appendTo: "body",
  confine: false,
  enterable: false,
  transitionDuration: 0,
  padding: 0,
  borderWidth: 0,
  backgroundColor: "transparent",
  extraCssText: "box-shadow:none;z-index:40",
} as const;
