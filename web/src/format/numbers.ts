// Numbers as people read them: thousands separators, few digits, always with their unit.

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const upTo2 = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });

/** Below this one decimal says something; from here on it would round to 10.0. */
const DECIMAL_BELOW = 9.95;

export const NONE = "–";

export function count(value: number | null): string {
  return value === null ? NONE : whole.format(value);
}

/** Milliseconds: one decimal below 10, whole up to 9,999, seconds above. */
export function milliseconds(value: number | null): string {
  if (value === null) return NONE;
  if (value < DECIMAL_BELOW) return `${one.format(value)} ms`;
  if (value < 9_999.5) return `${whole.format(value)} ms`;
  return `${one.format(value / 1000)} s`;
}

/** A rate without its unit: 0.3, 12, 4,210. */
export function rate(value: number | null): string {
  if (value === null) return NONE;
  return value > 0 && value < DECIMAL_BELOW ? one.format(value) : whole.format(value);
}

/** What rates are counted by: a second, unless that would make all of them nothing but zeros. */
export interface RateUnit {
  readonly seconds: number;
  readonly sign: string;
  readonly words: string;
}

const RATE_UNITS: readonly RateUnit[] = [
  { seconds: 1, sign: "/s", words: "second" },
  { seconds: 60, sign: "/min", words: "minute" },
  { seconds: 3600, sign: "/h", words: "hour" },
];

/** The unit for rates of which the largest is `largest` a second. */
export function rateUnit(largest: number): RateUnit {
  return RATE_UNITS.find((unit) => largest === 0 || largest * unit.seconds >= 1) ?? (RATE_UNITS[2] as RateUnit);
}

/** A rate per second in a unit, with its sign. */
export function rateIn(unit: RateUnit, value: number | null): string {
  return value === null ? NONE : `${rate(value * unit.seconds)}${unit.sign}`;
}

/** A rate that stands alone, in the unit that suits it. */
export function perSecond(value: number | null): string {
  return value === null ? NONE : rateIn(rateUnit(value), value);
}

/** A share of 0..1 as per cent. Small but not zero never reads as zero. */
export function share(value: number | null): string {
  if (value === null) return NONE;
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent > 0 && percent < DECIMAL_BELOW ? one.format(percent) : whole.format(percent)} %`;
}

/** Numbers for axis ticks: 950, 1.5k, 20k, 3M. */
export function compact(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${upTo2.format(value / 1e9)}G`;
  if (size >= 1e6) return `${upTo2.format(value / 1e6)}M`;
  if (size >= 1e3) return `${upTo2.format(value / 1e3)}k`;
  return upTo2.format(value);
}

/** Milliseconds for axis ticks: seconds from 10,000 on. */
export function compactMilliseconds(value: number): string {
  return value >= 10_000 ? `${upTo2.format(value / 1000)} s` : `${whole.format(value)} ms`;
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value: number | null): string {
  if (value === null) return NONE;
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit === 0 || scaled >= 100 ? whole.format(scaled) : one.format(scaled)} ${BYTE_UNITS[unit]}`;
}

/** The next of 1, 2, 2.5, 5 x 10^k at or above `value`; a quiet upper end for a scale. */
export function niceCeiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (step * power >= value * 0.999_999) return step * power;
  return 10 * power;
}
