// A grid of windows and keys, the value as depth of one colour.

import { hourMinute } from "../format/time.ts";
import type { ChartOption } from "./echarts.ts";
import { fittedApart } from "./measure.ts";
import type { Palette } from "./palette.ts";
import { windowWords } from "./timeChart.ts";
import { TOOLTIP, tooltipNode } from "./tooltip.ts";

export interface HeatmapInput {
  readonly names: readonly string[];
  readonly starts: readonly number[];
  readonly step: number;
  /** A row a name, a column a start. */
  readonly values: readonly (readonly (number | null)[])[];
  readonly left: number;
  readonly format: (value: number | null) => string;
  readonly max: number | null;
}

export function heatmapOption(input: HeatmapInput, palette: Palette): ChartOption {
  const cells = input.values.flatMap((row, y) => row.flatMap((value, x) => (value === null ? [] : [[x, y, value]])));
  const top = input.max ?? Math.max(1e-9, ...cells.map((cell) => cell[2] as number));
  const short = fittedApart(input.names, input.left - 14, `11px ${palette.font}`);
  const label = { color: palette.muted, fontSize: 11, fontFamily: palette.font };
  return {
    animation: false,
    tooltip: {
      ...TOOLTIP,
      trigger: "item",
      formatter: (hit: { data: [number, number, number] }) => {
        const [x, y, value] = hit.data;
        return tooltipNode(input.names[y] ?? "", [{ colour: palette.accent, name: windowWords(input.starts[x] ?? 0, input.step), value: input.format(value) }]);
      },
    },
    grid: [{ left: input.left, right: 8, top: 6, bottom: 24 }],
    xAxis: [{ type: "category", data: input.starts.map(hourMinute), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { ...label, hideOverlap: true }, splitArea: { show: false } }],
    yAxis: [{ type: "category", inverse: true, data: input.names, axisTick: { show: false }, axisLine: { show: false }, axisLabel: { ...label, color: palette.text, interval: 0, formatter: (name: string) => short.get(name) ?? name } }],
    visualMap: [{ type: "continuous", show: false, min: 0, max: top, inRange: { color: [palette.track, palette.accent] } }],
    series: [{ type: "heatmap", name: "cells", data: cells, itemStyle: { borderWidth: 0 }, emphasis: { disabled: true } }],
  };
}
