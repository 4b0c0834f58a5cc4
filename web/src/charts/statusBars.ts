// Status codes per endpoint, stacked by class. 5xx is striped as well as coloured: nobody has to tell red from green.

import { count, compact, share } from "../format/numbers.ts";
import { ERROR_SHARE_BAD, STATUS_CLASSES, statusClass, type EndpointStatus, type StatusClass } from "../model/rows.ts";
import type { ChartOption } from "./echarts.ts";
import { endpointLabel, labelAxis, labelWidth, NARROW, NARROW_INDENT, scaleOfNamed, valueAxis } from "./endpointBars.ts";
import type { Palette } from "./palette.ts";
import { TOOLTIP, tooltipNode } from "./tooltip.ts";

export const CLASS_WORDS: Readonly<Record<StatusClass, string>> = {
  "2xx": "2xx success",
  "3xx": "3xx redirect",
  "4xx": "4xx client error",
  "5xx": "5xx server error",
  other: "no or other status",
};

const STRIPES = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 3], rotation: -Math.PI / 4, color: "rgba(255,255,255,0.4)" };
const AXIS = 26;
const NOTE = 66;

export interface StatusBarsInput {
  readonly rows: readonly EndpointStatus[];
  /** Bars of equal length that show shares, instead of counts. */
  readonly shares: boolean;
}

export function statusBarsOption(input: StatusBarsInput, palette: Palette, width: number): ChartOption {
  const { rows, shares } = input;
  const labels = rows.map(endpointLabel);
  const left = labelWidth(labels, palette, width);
  const narrow = width < NARROW;
  const start = left + (narrow ? NARROW_INDENT : 0);
  const plot = width - start - NOTE - 8;
  const scale: { max?: number; interval?: number } = shares ? { max: 1, interval: plot < 170 ? 0.5 : 0.25 } : scaleOfNamed(rows, rows.map((row) => row.total));
  const used = STATUS_CLASSES.filter((name) => name !== "other" || rows.some((row) => row.byClass.other > 0));
  const size = (row: EndpointStatus, name: StatusClass): number => (shares && row.total > 0 ? row.byClass[name] / row.total : row.byClass[name]);
  return {
    animation: false,
    tooltip: {
      ...TOOLTIP,
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: palette.shade } },
      formatter: (hit: { dataIndex: number }[]) => {
        const row = rows[hit[0]?.dataIndex ?? -1];
        return row === undefined ? "" : tip(row, palette);
      },
    },
    grid: [{ left: start, width: Math.max(10, plot), top: 4, bottom: AXIS }],
    xAxis: [{ ...valueAxis(0, palette, shares ? (v) => share(v) : compact, true, plot, Math.max(0, ...rows.map((row) => row.total))), ...scale }],
    yAxis: [
      { ...labelAxis(labels, palette, width, true), gridIndex: 0 },
      {
        type: "category",
        inverse: true,
        position: "right",
        data: rows.map((row) => share(row.total === 0 ? 0 : row.byClass["5xx"] / row.total)),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: {
          interval: 0,
          fontSize: 12,
          fontFamily: palette.font,
          color: (_: string, index: number) => ((rows[index]?.byClass["5xx"] ?? 0) >= ERROR_SHARE_BAD * (rows[index]?.total ?? 1) ? palette.bad : palette.muted),
        },
      },
    ],
    series: used.map((name) => ({
      type: "bar",
      name,
      stack: "status",
      silent: true,
      barWidth: narrow ? 12 : 15,
      data: rows.map((row) => ({ value: size(row, name), itemStyle: { opacity: row.others > 0 && scale.max !== 1 && scale.max !== undefined ? 0.6 : 1 } })),
      itemStyle: { color: palette.status[name], ...(name === "5xx" ? { decal: STRIPES } : {}) },
    })),
  };
}

function tip(row: EndpointStatus, palette: Palette): HTMLElement {
  const lines = row.codes.map(({ code, requests }) => {
    const of = statusClass(code);
    return {
      colour: palette.status[of],
      striped: of === "5xx",
      name: code === null ? "no status" : String(code),
      value: `${count(requests)}  ·  ${share(row.total === 0 ? 0 : requests / row.total)}`,
    };
  });
  return tooltipNode(endpointLabel(row), lines, `${count(row.total)} requests`);
}
