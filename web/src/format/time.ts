// Instants and durations in words. Times are the reader's own; the UTC form goes into tooltips.

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

const DAY_MS = 86_400_000;

export function timeOfDay(ms: number): string {
  return clock.format(ms);
}

export function hourMinute(ms: number): string {
  return minutes.format(ms);
}

export function date(ms: number): string {
  return day.format(ms);
}

export function utc(ms: number): string {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

export function isSameDay(a: number, b: number): boolean {
  return day.format(a) === day.format(b);
}

/** "12:00:10" today, "20 May 2015, 12:00:10" on any other day. */
export function instant(ms: number, now: number): string {
  return isSameDay(ms, now) ? timeOfDay(ms) : `${date(ms)}, ${timeOfDay(ms)}`;
}

/** "0.4 s", "32 s", "5 min", "3 h 20 min"; from two days on, days. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (ms < 2 * DAY_MS) {
    const total = Math.round(seconds / 60);
    const rest = total % 60;
    return rest === 0 ? `${Math.floor(total / 60)} h` : `${Math.floor(total / 60)} h ${rest} min`;
  }
  return `${Math.round(ms / DAY_MS).toLocaleString("en-GB")} days`;
}

/** How long ago `then` was; beyond two days the date says more than a number of days. */
export function ago(then: number, now: number): string {
  const age = now - then;
  if (age < -1500) return `${duration(-age)} ahead of this node's clock`;
  if (age < 1000) return "just now";
  if (age >= 2 * DAY_MS) return date(then);
  return `${duration(age)} ago`;
}

export function parseInstant(text: string | null | undefined): number | null {
  if (!text) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
