// Two bar charts that share their rows: response time on the left, traffic on the right.

import { keyLabel } from "../format/text.ts";
import { compact, compactMilliseconds, count, milliseconds, niceCeiling, NONE, perSecond, rateIn, rateUnit, share, type RateUnit } from "../format/numbers.ts";
import { serverErrorShare, type EndpointHealth } from "../model/rows.ts";
import type { ChartOption } from "./echarts.ts";
import { fittedApart, textWidth } from "./measure.ts";
import type { Palette } from "./palette.ts";
import { TOOLTIP, tooltipNode } from "./tooltip.ts";

export interface EndpointBarsInput {
  readonly rows: readonly EndpointHealth[];
  /** Seconds that the counts cover, for rates. */
  readonly seconds: number;
  /** false: the logs carry no response times, so only traffic is drawn. */
  readonly timed: boolean;
}

export const NARROW = 520;
const ROW = 27;
const ROW_NARROW = 40;
const AXIS = 26;
const VALUE = 66;
const VALUE_BOTH = 128;
/** From this width of the left half on, the 99th percentile stands beside the average. */
const BOTH_FROM = 230;
const LABEL_GAP = 10;
/** Without labels on the left, the first tick label of the axis still needs room. */
export const NARROW_INDENT = 10;

export function endpointLabel(row: { readonly endpoint: string | null; readonly others: number }): string {
  return row.others > 0 ? `others (${count(row.others)} endpoints)` : keyLabel(row.endpoint, "endpoint");
}

export function rowsHeight(rows: number, width: number): number {
  return Math.max(2, rows) * (width < NARROW ? ROW_NARROW : ROW) + AXIS + 6;
}

/** Where the row labels go: beside the bars, or above them where the panel is narrow. */
export function labelAxis(labels: readonly string[], palette: Palette, width: number, shown: boolean): object {
  const narrow = width < NARROW;
  const room = narrow ? width - 16 : labelWidth(labels, palette, width) - LABEL_GAP;
  const short = fittedApart(labels, room, labelFont(palette));
  return {
    type: "category",
    inverse: true,
    data: labels,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: {
      show: shown,
      interval: 0,
      color: palette.text,
      fontSize: 12,
      fontFamily: palette.font,
      inside: narrow,
      margin: narrow ? 0 : 8,
      verticalAlign: narrow ? "bottom" : "middle",
      padding: narrow ? [0, 0, 9, 0] : 0,
      formatter: (label: string) => short.get(label) ?? label,
    },
    z: 5,
  };
}

/** Room for the row labels beside the bars: what the longest takes, up to a third of the panel. */
export function labelWidth(labels: readonly string[], palette: Palette, width: number): number {
  if (width < NARROW) return 0;
  const longest = Math.max(0, ...labels.map((label) => textWidth(label, labelFont(palette))));
  return Math.ceil(Math.min(longest + 2, width * 0.34)) + LABEL_GAP;
}

function labelFont(palette: Palette): string {
  return `12px ${palette.font}`;
}

export function endpointBarsOption(input: EndpointBarsInput, palette: Palette, width: number): ChartOption {
  const { rows, timed, seconds } = input;
  const labels = rows.map(endpointLabel);
  const left = labelWidth(labels, palette, width);
  const narrow = width < NARROW;
  const plot = width - left - 8 - (narrow ? NARROW_INDENT : 0);
  const half = timed ? Math.floor(plot * (narrow ? 0.5 : 0.58)) : 0;
  const both = half >= BOTH_FROM;
  const timeLabel = both ? VALUE_BOTH : VALUE;
  const start = left + (narrow ? NARROW_INDENT : 0);
  const top = 4;
  const grids = [
    { left: start, width: Math.max(10, half - timeLabel), top, bottom: AXIS },
    { left: start + half, width: Math.max(10, plot - half - VALUE), top, bottom: AXIS },
  ];
  const bars = { type: "bar", animation: false, silent: true, barWidth: narrow ? 12 : 15, barCategoryGap: 0 };
  const value = { show: true, position: "right", distance: 5, color: palette.text, fontSize: 12, fontFamily: palette.font };
  const times = rows.map((row) => ({ average: row.average, p99: row.p99 }));
  const rates = rows.map((row) => row.requests / seconds);
  const unit = ratesOf(rows, seconds);
  const scaled = rates.map((value) => value * unit.seconds);
  const limit = scaleOfNamed(rows, scaled).max ?? Number.POSITIVE_INFINITY;
  return {
    animation: false,
    tooltip: {
      ...TOOLTIP,
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: palette.shade } },
      formatter: (hit: { dataIndex: number }[]) => {
        const row = rows[hit[0]?.dataIndex ?? -1];
        return row === undefined ? "" : tip(row, seconds, timed, palette);
      },
    },
    grid: grids,
    xAxis: [
      valueAxis(0, palette, compactMilliseconds, timed, half - timeLabel, Math.max(0, ...times.map((t) => t.p99 ?? t.average ?? 0))),
      { ...valueAxis(1, palette, (v: number) => `${compact(v)}${unit.sign}`, true, plot - half - VALUE, Math.max(0, ...scaled)), ...scaleOfNamed(rows, scaled) },
    ],
    yAxis: [
      { ...labelAxis(labels, palette, width, true), gridIndex: 0 },
      { ...labelAxis(labels, palette, width, false), gridIndex: 1 },
    ],
    series: [
      ...(timed
        ? [
            {
              ...bars,
              name: "p99",
              barGap: "-100%",
              data: times.map((t) => t.p99 ?? t.average),
              itemStyle: { color: palette.accentSoft, borderRadius: 2 },
              label: {
                ...value,
                rich: { p: { color: palette.muted, fontSize: 11, fontFamily: palette.font } },
                formatter: (p: { dataIndex: number }) => timeText(times[p.dataIndex], both),
              },
            },
            { ...bars, name: "average", data: times.map((t) => t.average), itemStyle: { color: palette.accent, borderRadius: 2 } },
          ]
        : []),
      {
        ...bars,
        name: "traffic",
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: scaled.map((value, i) => ({ value: Math.min(value, limit), itemStyle: { color: (rows[i]?.others ?? 0) > 0 ? palette.trafficSoft : palette.traffic } })),
        itemStyle: { borderRadius: 2 },
        label: { ...value, formatter: (p: { dataIndex: number }) => `${(scaled[p.dataIndex] ?? 0) > limit ? "… " : ""}${rateIn(unit, rates[p.dataIndex] ?? null)}` },
      },
    ],
  };
}

/** From zero on. `largest` is the largest value: where there is room for two ticks only, they are zero and a round end above it. */
export function valueAxis(grid: number, palette: Palette, format: (value: number) => string, shown: boolean, width: number, largest: number): object {
  const end = niceCeiling(largest);
  return {
    type: "value",
    gridIndex: grid,
    min: 0,
    ...(width < 170 ? { max: end, interval: end } : { splitNumber: width < 320 ? 2 : 4 }),
    axisLabel: { show: shown, color: palette.muted, fontSize: 11, fontFamily: palette.font, hideOverlap: true, formatter: format },
    splitLine: { show: shown, lineStyle: { color: palette.grid } },
  };
}

/** The unit of the panel's rates: that of its busiest endpoint. */
export function ratesOf(rows: readonly EndpointHealth[], seconds: number): RateUnit {
  return rateUnit(Math.max(0, ...rows.filter((row) => row.others === 0).map((row) => row.requests / seconds)));
}

/**
 * The sum of all others may dwarf every endpoint that has a bar. Then the named ones set the scale, and the bar of the others ends at
 * its edge, paler and marked as cut.
 */
export function scaleOfNamed(rows: readonly { readonly others: number }[], sizes: readonly number[]): { max?: number; interval?: number } {
  const named = Math.max(0, ...sizes.filter((_, i) => rows[i]?.others === 0));
  const others = Math.max(0, ...sizes.filter((_, i) => (rows[i]?.others ?? 0) > 0));
  return named > 0 && others > named * 1.2 ? { max: niceCeiling(named), interval: niceCeiling(named) / 2 } : {};
}

/** Only numbers and units go in, so the braces of the label's own markup are safe to use. */
function timeText(time: { readonly average: number | null; readonly p99: number | null } | undefined, both: boolean): string {
  if (time === undefined || time.average === null) return NONE;
  return both && time.p99 !== null ? `${milliseconds(time.average)} {p| p99 ${milliseconds(time.p99)}}` : milliseconds(time.average);
}

function tip(row: EndpointHealth, seconds: number, timed: boolean, palette: Palette): HTMLElement {
  const lines = [];
  if (timed) {
    lines.push({ colour: palette.accent, name: "average", value: milliseconds(row.average) });
    lines.push({ colour: palette.accentSoft, name: "99th percentile", value: milliseconds(row.p99) });
  }
  lines.push({ colour: palette.traffic, name: "traffic", value: perSecond(row.requests / seconds) });
  lines.push({ name: "requests", value: count(row.requests) });
  lines.push({ name: "server errors", value: row.serverErrors === null ? NONE : `${count(row.serverErrors)}  ·  ${share(serverErrorShare(row))}` });
  if (row.visitors !== null) lines.push({ name: "visitors", value: `≈ ${count(row.visitors)}` });
  return tooltipNode(endpointLabel(row), lines);
}
