// Response time (or, where logs carry none, traffic) over time: the whole, and the busiest endpoints.

import { compact, compactMilliseconds, milliseconds, NONE, rate, type RateUnit } from "../format/numbers.ts";
import { date, hourMinute, isSameDay, timeOfDay } from "../format/time.ts";
import type { ChartOption } from "./echarts.ts";
import type { Palette } from "./palette.ts";
import { TOOLTIP, tooltipNode } from "./tooltip.ts";

export interface Line {
  readonly name: string;
  /** Slot of the palette; -1 is the whole, drawn strongest. */
  readonly slot: number;
  readonly points: readonly [number, number | null][];
}

export interface ResponseLineInput {
  readonly lines: readonly Line[];
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** The stretch that the bars cover; null where it is the whole. */
  readonly shaded: { readonly from: number; readonly to: number } | null;
  /** null: milliseconds. Points are already in this unit. */
  readonly unit: RateUnit | null;
}

/** Dashes tell lines apart where colours do not. */
export const DASHES: readonly (readonly number[])[] = [[1, 0], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4]];

export function responseLineOption(input: ResponseLineInput, palette: Palette, width: number): ChartOption {
  const { unit } = input;
  const format = lineFormat(unit);
  const tick = unit === null ? compactMilliseconds : (v: number): string => `${compact(v)}${unit.sign}`;
  const seconds = input.to - input.from <= 10 * 60_000;
  return {
    animation: false,
    grid: [{ left: 58, right: 14, top: 10, bottom: 26 }],
    tooltip: {
      ...TOOLTIP,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.muted, type: "solid" } },
      formatter: (hits: { seriesIndex: number; data: [number, number | null] }[]) => tip(input, hits, format, palette),
    },
    xAxis: [
      {
        type: "time",
        min: input.from,
        max: input.to,
        splitNumber: Math.max(2, Math.min(8, Math.floor(width / 110))),
        axisLine: { lineStyle: { color: palette.grid } },
        axisTick: { show: false },
        axisLabel: { color: palette.muted, fontSize: 11, fontFamily: palette.font, hideOverlap: true, formatter: (v: number) => (seconds ? timeOfDay(v) : hourMinute(v)) },
        splitLine: { show: false },
      },
    ],
    yAxis: [
      {
        type: "value",
        min: 0,
        splitNumber: 4,
        axisLabel: { color: palette.muted, fontSize: 11, fontFamily: palette.font, formatter: tick },
        splitLine: { lineStyle: { color: palette.grid } },
      },
    ],
    series: input.lines.map((line) => ({
      type: "line",
      name: line.name,
      data: line.points,
      showSymbol: lonely(line.points),
      symbol: "circle",
      symbolSize: 4,
      connectNulls: false,
      silent: true,
      z: line.slot < 0 ? 5 : 3,
      itemStyle: { color: lineColour(line.slot, palette) },
      lineStyle: { width: line.slot < 0 ? 2.5 : 1.5, type: line.slot < 0 ? "solid" : DASHES[line.slot], color: lineColour(line.slot, palette) },
      ...(line.slot < 0 && input.shaded !== null
        ? { markArea: { silent: true, itemStyle: { color: palette.shade }, data: [[{ xAxis: input.shaded.from }, { xAxis: input.shaded.to }]] } }
        : {}),
    })),
  };
}

export function lineFormat(unit: RateUnit | null): (value: number | null) => string {
  return unit === null ? milliseconds : (value) => (value === null ? NONE : `${rate(value)}${unit.sign}`);
}

export function lineColour(slot: number, palette: Palette): string {
  return slot < 0 ? palette.text : (palette.lines[slot] ?? palette.muted);
}

/** True where some point has no neighbour, so that no line would show it. */
function lonely(points: readonly [number, number | null][]): boolean {
  return points.some(([, value], i) => value !== null && (points[i - 1]?.[1] ?? null) === null && (points[i + 1]?.[1] ?? null) === null);
}

function tip(input: ResponseLineInput, hits: readonly { seriesIndex: number; data: [number, number | null] }[], format: (v: number | null) => string, palette: Palette): HTMLElement | string {
  const at = hits[0]?.data[0];
  if (at === undefined) return "";
  const rows = hits
    .map((hit) => ({ line: input.lines[hit.seriesIndex], value: hit.data[1] }))
    .filter((hit): hit is { line: Line; value: number } => hit.line !== undefined && hit.value !== null)
    .sort((a, b) => Number(a.line.slot >= 0) - Number(b.line.slot >= 0) || b.value - a.value)
    .map(({ line, value }) => ({ colour: lineColour(line.slot, palette), name: line.name, value: format(value) }));
  const day = isSameDay(at, Date.now()) ? "" : `${date(at)}, `;
  return tooltipNode(`${day}${timeOfDay(at)} – ${timeOfDay(at + input.step)}`, rows, rows.length === 0 ? "no events" : undefined);
}
