// What uPlot is told to draw: lines over time, filled or stacked, with thresholds and marks. Values in, options out.

import type uPlot from "uplot";
import { date, hourMinute, isSameDay, timeOfDay } from "../format/time.ts";
import type { Palette } from "./palette.ts";
import { textWidth } from "./measure.ts";

export interface TimeLine {
  readonly name: string;
  /** Colour of the palette, from 0; -1: the colour of text, for a line that stands for all; -2: muted, for the rest. */
  readonly slot: number;
  /** Of the period before. */
  readonly dashed: boolean;
}

/** Something that happened at an instant (ms). */
export interface Mark {
  readonly at: number;
  readonly kind: string;
  readonly text: string;
}

export interface TimeChartInput {
  readonly lines: readonly TimeLine[];
  /** For uPlot: seconds, then a column a line; stacked lines are sums. */
  readonly data: uPlot.AlignedData;
  /** As they are, for tooltips: a column a line. */
  readonly values: readonly (readonly (number | null)[])[];
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly stacked: boolean;
  readonly filled: boolean;
  readonly unit: string;
  readonly min: number | null;
  readonly max: number | null;
  readonly thresholds: readonly { readonly value: number; readonly level: "good" | "warn" | "bad" }[];
  readonly marks: readonly Mark[];
  readonly format: (value: number | null) => string;
  readonly axis: (value: number) => string;
}

interface Events {
  select(chart: uPlot): void;
  pick(line: number | null, index: number): void;
  point(chart: uPlot): void;
}

export const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2]];
const AXIS_PX_MIN = 34;
/** How near a click must be to a line to mean that line. */
const NEAR_PX = 14;

export function colourOf(line: TimeLine, palette: Palette): string {
  if (line.slot === -1) return palette.text;
  return line.slot < 0 ? palette.muted : (palette.lines[line.slot % palette.lines.length] ?? palette.muted);
}

export function windowWords(start: number, step: number): string {
  const day = isSameDay(start, Date.now()) ? "" : `${date(start)}, `;
  return `${day}${timeOfDay(start)} – ${timeOfDay(start + step)}`;
}

/** Each line as the sum of itself and those before it. A gap counts as nothing, and stays a gap where all have one. */
export function stacked(columns: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const sums: number[] = [];
  return columns.map((column) =>
    column.map((value, i) => {
      sums[i] = (sums[i] ?? 0) + (value ?? 0);
      return columns.every((each) => each[i] === null) ? null : (sums[i] as number);
    }),
  );
}

export function uplotOptions(input: () => TimeChartInput, palette: Palette, width: number, height: number, events: Events): uPlot.Options {
  const now = input();
  const font = `11px ${palette.font}`;
  const axis = { stroke: palette.muted, font, grid: { stroke: palette.grid, width: 1 }, ticks: { show: false } };
  // Stacked: the largest sum is drawn first, so that each area covers the one below it down to its own line.
  const order = now.lines.map((_, i) => i);
  return {
    width,
    height,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      focus: { prox: NEAR_PX },
      bind: { click: (chart, _target, _handler) => (event: MouseEvent) => clicked(chart, event, input(), events) },
    },
    focus: { alpha: 1 },
    scales: {
      x: { time: true, range: () => [input().from / 1000, input().to / 1000] },
      y: { range: (_chart, low, high) => rangeOf(input(), low, high) },
    },
    series: [
      {},
      ...order.map((i): uPlot.Series => {
        const line = now.lines[i] as TimeLine;
        const colour = colourOf(line, palette);
        const dash = line.dashed ? [3, 4] : now.stacked || line.slot <= 0 ? [] : [...(DASHES[line.slot % DASHES.length] ?? [])];
        const series: uPlot.Series = {
          label: line.name,
          stroke: colour,
          width: line.slot === -1 ? 2.5 : 1.75,
          alpha: line.dashed ? 0.55 : 1,
          spanGaps: false,
          points: { show: (chart, s, from, to) => lonely(chart.data[s] ?? [], from, to), filter: (chart, s) => loneliest(chart.data[s] ?? []), size: 5, fill: colour },
        };
        if (dash.length > 0) series.dash = dash;
        if (now.filled && !line.dashed) series.fill = withAlpha(colour, now.stacked ? 0.55 : 0.14);
        return series;
      }),
    ],
    ...(now.stacked ? { bands: now.lines.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) } : {}),
    axes: [
      { ...axis, size: 24, gap: 4, space: 70, values: (_chart, ticks) => ticks.map((tick, i) => tickWords(tick * 1000, i === 0 ? null : (ticks[i - 1] as number) * 1000, input())) },
      { ...axis, space: 34, size: (_chart, values) => Math.max(AXIS_PX_MIN, ...(values ?? []).map((text) => textWidth(text, font) + 14)), values: (_chart, ticks) => ticks.map((tick) => input().axis(tick)) },
    ],
    hooks: {
      setSelect: [(chart) => events.select(chart)],
      setCursor: [(chart) => events.point(chart)],
      draw: [(chart) => overlay(chart, input(), palette)],
    },
  };
}

function clicked(chart: uPlot, event: MouseEvent, input: TimeChartInput, events: Events): null {
  const { idx, top } = chart.cursor;
  if (event.button !== 0 || idx === null || idx === undefined) return null;
  let best: { line: number; far: number } | null = null;
  input.lines.forEach((line, i) => {
    const value = chart.data[i + 1]?.[idx];
    if (line.dashed || value === null || value === undefined || top === undefined) return;
    const y = chart.valToPos(value, "y");
    // In a stack, what is pointed at is the first area that reaches up to the pointer.
    const far = input.stacked ? (y <= top ? top - y : Number.POSITIVE_INFINITY) : Math.abs(y - top);
    if (best === null || far < best.far) best = { line: i, far };
  });
  const found = best as { line: number; far: number } | null;
  const hit = found !== null && Number.isFinite(found.far) && (input.stacked || input.lines.length === 1 || found.far <= NEAR_PX) ? found.line : null;
  events.pick(hit, idx);
  return null;
}

function rangeOf(input: TimeChartInput, low: number | null, high: number | null): uPlot.Range.MinMax {
  const bottom = input.min ?? Math.min(0, low ?? 0);
  const top = input.max ?? (high === null || high <= bottom ? bottom + 1 : bottom + (high - bottom) * 1.08);
  return [bottom, Math.max(top, bottom + 1e-9)];
}

function tickWords(at: number, before: number | null, input: TimeChartInput): string {
  const span = input.to - input.from;
  if (span > 3 * 86_400_000) return date(at).replace(/ \d{4}$/, "");
  if (span > 86_400_000 && (before === null || !isSameDay(at, before))) return `${date(at).replace(/ \d{4}$/, "")}`;
  return span < 300_000 ? timeOfDay(at) : hourMinute(at);
}

/** Thresholds as lines across, marks as lines down with a flag. */
function overlay(chart: uPlot, input: TimeChartInput, palette: Palette): void {
  const { ctx, bbox } = chart;
  const colours = { good: palette.good, warn: palette.warn, bad: palette.bad };
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { value, level } of input.thresholds) {
    const y = chart.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    stroke(ctx, colours[level], [6 * ratio, 4 * ratio], ratio, bbox.left, y, bbox.left + bbox.width, y);
  }
  for (const mark of input.marks) {
    const x = chart.valToPos(mark.at / 1000, "x", true);
    const colour = mark.kind === "alert" ? palette.bad : palette.accent;
    stroke(ctx, colour, [3 * ratio, 3 * ratio], ratio, x, bbox.top, x, bbox.top + bbox.height);
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x - 4 * ratio, bbox.top);
    ctx.lineTo(x + 4 * ratio, bbox.top);
    ctx.lineTo(x, bbox.top + 7 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

function stroke(ctx: CanvasRenderingContext2D, colour: string, dash: number[], width: number, x0: number, y0: number, x1: number, y1: number): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** True where some point has no neighbour, so that no line would show it. */
function lonely(values: ArrayLike<number | null | undefined>, from: number, to: number): boolean {
  for (let i = from; i <= to; i += 1) if (isLonely(values, i)) return true;
  return false;
}

function loneliest(values: ArrayLike<number | null | undefined>): number[] {
  return Array.from(values, (_, i) => i).filter((i) => isLonely(values, i));
}

function isLonely(values: ArrayLike<number | null | undefined>, i: number): boolean {
  return (values[i] ?? null) !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
}

function withAlpha(colour: string, alpha: number): string {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour)?.[1];
  if (hex === undefined) return colour;
  const [r, g, b] = [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
