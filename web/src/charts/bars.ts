// Bars: one a category, grouped or stacked by series. Horizontal bars carry their labels beside or above them.

import { share } from "../format/numbers.ts";
import type { ChartOption } from "./echarts.ts";
import { labelAxis, labelWidth, NARROW, NARROW_INDENT } from "./endpointBars.ts";
import { fittedApart, textWidth } from "./measure.ts";
import type { Palette } from "./palette.ts";
import { TOOLTIP, tooltipNode } from "./tooltip.ts";

export interface BarSeries {
  readonly name: string;
  readonly colour: (palette: Palette, index: number) => string;
  readonly striped: boolean;
  readonly values: readonly (number | null)[];
}

export interface BarsInput {
  readonly categories: readonly string[];
  readonly series: readonly BarSeries[];
  readonly stacked: boolean;
  readonly horizontal: boolean;
  readonly min: number | null;
  readonly max: number | null;
  readonly format: (value: number | null) => string;
  readonly axis: (value: number) => string;
  readonly thresholds: readonly { readonly value: number; readonly level: "good" | "warn" | "bad" }[];
}

export const STRIPES = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 3], rotation: -Math.PI / 4, color: "rgba(255,255,255,0.4)" };
const BOTTOM = 24;
const VALUE_ROOM = 64;

export function barsOption(input: BarsInput, palette: Palette, width: number): ChartOption {
  const { categories, series, horizontal } = input;
  const labelled = series.length === 1 && horizontal;
  const left = horizontal ? labelWidth(categories, palette, width) + (width < NARROW ? NARROW_INDENT : 0) : axisRoom(input, palette);
  const value = {
    type: "value",
    min: input.min ?? undefined,
    max: input.max ?? undefined,
    splitNumber: 4,
    axisLabel: { color: palette.muted, fontSize: 11, fontFamily: palette.font, hideOverlap: true, formatter: input.axis },
    splitLine: { lineStyle: { color: palette.grid } },
  };
  const category = horizontal ? labelAxis(categories, palette, width, true) : uprightLabels(categories, palette, width - left);
  return {
    animation: false,
    tooltip: {
      ...TOOLTIP,
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: palette.shade } },
      formatter: (hit: { dataIndex: number }[]) => tip(input, hit[0]?.dataIndex ?? -1, palette),
    },
    grid: [{ left, right: labelled ? VALUE_ROOM : 12, top: 8, bottom: BOTTOM }],
    xAxis: [horizontal ? value : category],
    yAxis: [horizontal ? category : value],
    series: series.map((each, s) => ({
      type: "bar",
      name: each.name,
      ...(input.stacked ? { stack: "all" } : {}),
      barMaxWidth: horizontal ? 18 : 46,
      data: each.values.map((number, i) => ({ value: number, itemStyle: { color: each.colour(palette, i), ...(each.striped ? { decal: STRIPES } : {}) } })),
      ...(labelled ? { label: { show: true, position: "right", color: palette.text, fontSize: 12, fontFamily: palette.font, formatter: (p: { dataIndex: number }) => input.format(each.values[p.dataIndex] ?? null) } } : {}),
      ...(s === 0 && input.thresholds.length > 0 ? { markLine: thresholdLines(input, palette) } : {}),
    })),
  };
}

function axisRoom(input: BarsInput, palette: Palette): number {
  const tops = input.categories.map((_, i) => (input.stacked ? input.series.reduce((sum, each) => sum + (each.values[i] ?? 0), 0) : Math.max(0, ...input.series.map((each) => each.values[i] ?? 0))));
  return Math.ceil(textWidth(input.axis(Math.max(1, ...tops) * 1.2), `11px ${palette.font}`)) + 16;
}

/** Shortened to what one bar has room for; where that is less than a few letters, every second or third is left out by the axis itself. */
function uprightLabels(categories: readonly string[], palette: Palette, width: number): object {
  const each = Math.max(40, width / Math.max(1, categories.length) - 8);
  const short = fittedApart(categories, each, `11px ${palette.font}`);
  return {
    type: "category",
    data: categories,
    axisLine: { lineStyle: { color: palette.grid } },
    axisTick: { show: false },
    axisLabel: { color: palette.text, fontSize: 11, fontFamily: palette.font, hideOverlap: true, formatter: (label: string) => short.get(label) ?? label },
  };
}

function thresholdLines(input: BarsInput, palette: Palette): object {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    data: input.thresholds.map(({ value, level }) => ({ [input.horizontal ? "xAxis" : "yAxis"]: value, lineStyle: { color: palette[level], type: "dashed", width: 1 } })),
  };
}

function tip(input: BarsInput, index: number, palette: Palette): HTMLElement | string {
  const name = input.categories[index];
  if (name === undefined) return "";
  const total = input.stacked ? input.series.reduce((sum, each) => sum + (each.values[index] ?? 0), 0) : 0;
  const rows = input.series
    .filter((each) => each.values[index] !== null && each.values[index] !== undefined)
    .map((each) => {
      const value = each.values[index] as number;
      return { colour: each.colour(palette, index), striped: each.striped, name: each.name, value: `${input.format(value)}${total > 0 ? `  ·  ${share(value / total)}` : ""}` };
    });
  return tooltipNode(name, rows, total > 0 ? `${input.format(total)} in all` : undefined);
}
