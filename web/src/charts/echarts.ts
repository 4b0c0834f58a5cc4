// The parts of ECharts that the panels use; nothing else of it enters the bundle.

import { BarChart, GaugeChart, LineChart } from "echarts/charts";
import { GridComponent, MarkAreaComponent, TooltipComponent } from "echarts/components";
import { init, use, type ECharts, type EChartsCoreOption } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, GaugeChart, LineChart, GridComponent, MarkAreaComponent, TooltipComponent, CanvasRenderer]);

export { init, use };
export type { ECharts };
export type ChartOption = Readonly<EChartsCoreOption> & { readonly tooltip?: object };
