// Axes of a rule's chart: round numbers that hold the values and the threshold.

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

/** From the least to the largest of `values`, which may be empty, in at most five round steps. */
export function scaleOf(values: readonly number[]): Scale {
  const least = Math.min(0, ...values);
  const most = Math.max(least + 1e-9, ...values);
  const rough = (most - least) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((each) => each * power >= rough * 0.999_999) ?? 10) * power;
  const low = Math.floor(least / step) * step;
  const ticks: number[] = [];
  for (let n = 0; n < 8; n += 1) {
    const tick = Number((low + n * step).toPrecision(12));
    ticks.push(tick);
    if (tick >= most) break;
  }
  return { low, high: ticks.at(-1) ?? low + step, ticks };
}

/** The path of a line; where there is no number it is broken. */
export function linePath(values: readonly (number | null)[], x: (at: number) => number, y: (value: number) => number): string {
  let path = "";
  let drawn = false;
  values.forEach((value, at) => {
    if (value === null) {
      drawn = false;
      return;
    }
    path += `${drawn ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!drawn) path += "h0.01";
    drawn = true;
  });
  return path;
}
