// Numbers with the unit that a panel, or the view's own column, gives them.

import { bytes, compact, count, milliseconds, NONE, perSecond, rate } from "../format/numbers.ts";
import type { Options } from "./model.ts";

export const UNITS = ["", "count", "ms", "percent", "share", "per_second", "bytes"] as const;

export const UNIT_WORDS: Readonly<Record<string, string>> = {
  "": "as it is",
  count: "count",
  ms: "milliseconds",
  percent: "per cent (0 to 100)",
  share: "share (0 to 1, as per cent)",
  per_second: "per second",
  bytes: "bytes",
};

export type Format = (value: number | null) => string;

export function formatOf(options: Pick<Options, "unit" | "decimals">): Format {
  const { unit, decimals } = options;
  const plain = plainFormat(unit, decimals);
  return (value) => (value === null ? NONE : plain(value));
}

function plainFormat(unit: string, decimals: number | null): (value: number) => string {
  const digits = decimals === null ? null : new Intl.NumberFormat("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  if (unit === "ms") return (value) => (digits === null || value >= 9_999.5 ? milliseconds(value) : `${digits.format(value)} ms`);
  if (unit === "percent") return (value) => `${digits?.format(value) ?? percentDigits(value)} %`;
  if (unit === "share") return (value) => `${digits?.format(value * 100) ?? percentDigits(value * 100)} %`;
  if (unit === "per_second") return (value) => (digits === null ? perSecond(value) : `${digits.format(value)}/s`);
  if (unit === "bytes") return bytes;
  if (unit === "count") return digits === null ? (value) => (Number.isInteger(value) ? count(value) : rate(value)) : (value) => digits.format(value);
  const sign = unit === "" ? "" : ` ${unit}`;
  return (value) => `${digits?.format(value) ?? fewDigits(value)}${sign}`;
}

/** With 0, 1 and 2 decimals at most. */
const DECIMALS = [0, 1, 2].map((most) => new Intl.NumberFormat("en-GB", { maximumFractionDigits: most }));
const [FEW, MANY] = [3, 6].map((most) => new Intl.NumberFormat("en-GB", { maximumSignificantDigits: most })) as [Intl.NumberFormat, Intl.NumberFormat];

/** Small but not zero never reads as zero. */
function percentDigits(value: number): string {
  if (value > 0 && value < 0.01) return "<0.01";
  return (DECIMALS[value < 1 ? 2 : value < 9.95 ? 1 : 0] as Intl.NumberFormat).format(value);
}

function fewDigits(value: number): string {
  return (Math.abs(value) >= 1000 ? MANY : FEW).format(value);
}

/** For the ticks of an axis: short. */
export function axisFormat(unit: string): (value: number) => string {
  if (unit === "ms") return (value) => (Math.abs(value) >= 10_000 ? `${compact(value / 1000)} s` : Math.abs(value) >= 1000 ? milliseconds(value) : `${compact(value)} ms`);
  if (unit === "percent") return (value) => `${compact(value)} %`;
  if (unit === "share") return (value) => `${compact(value * 100)} %`;
  if (unit === "per_second") return (value) => `${compact(value)}/s`;
  if (unit === "bytes") return (value) => bytes(value);
  return unit === "" || unit === "count" ? compact : (value) => `${compact(value)} ${unit}`;
}
