// The gauge: one arc for the value, a tick on it for what is usual. The number itself is text in the page.

import type { ChartOption } from "./echarts.ts";
import type { Palette } from "./palette.ts";

export interface GaugeInput {
  readonly value: number | null;
  readonly maximum: number;
  /** What is usual, drawn as a tick; null: none. */
  readonly usual: number | null;
  readonly colour: string;
}

const START = 210;
const END = -30;

/** Drawn into `width` x `height`; the arc is 240 degrees, so its foot stands at 3/4 of the height of its box. */
export function gaugeOption(input: GaugeInput, palette: Palette, width: number, height: number): ChartOption {
  const radius = Math.min(width / 2, height / 1.55) - 6;
  const thick = Math.max(12, Math.min(24, radius / 5));
  const ring = { type: "gauge", startAngle: START, endAngle: END, min: 0, max: input.maximum, radius, center: ["50%", radius + 6], silent: true };
  return {
    animation: false,
    series: [
      {
        ...ring,
        progress: { show: input.value !== null, width: thick, itemStyle: { color: input.colour } },
        axisLine: { lineStyle: { width: thick, color: [[1, palette.track]] } },
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { show: false },
        pointer: { show: false },
        anchor: { show: false },
        title: { show: false },
        detail: { show: false },
        data: [{ value: input.value === null ? 0 : Math.min(input.value, input.maximum) }],
      },
      {
        ...ring,
        z: 4,
        progress: { show: false },
        axisLine: { show: false },
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { show: false },
        pointer: { show: input.usual !== null, icon: "rect", width: 3, length: thick + 6, offsetCenter: [0, thick + 3 - radius], itemStyle: { color: palette.text } },
        anchor: { show: false },
        title: { show: false },
        detail: { show: false },
        data: input.usual === null ? [] : [{ value: Math.min(input.usual, input.maximum) }],
      },
    ],
  };
}
