// Keeps rows and colours still while numbers move.

/**
 * Orders by `size`, largest first, but keeps two neighbours of the last order in place until one is clearly larger:
 * rows that swap four times a second cannot be read.
 */
export function steadyOrder<T>(items: readonly T[], last: readonly string[], key: (item: T) => string, size: (item: T) => number): T[] {
  const rank = new Map(last.map((name, index) => [name, index]));
  const ordered = [...items].sort((a, b) => {
    const ra = rank.get(key(a));
    const rb = rank.get(key(b));
    if (ra !== undefined && rb !== undefined) return ra - rb;
    return size(b) - size(a);
  });
  const clearly = 1.1;
  for (let end = ordered.length - 1; end > 0; end -= 1) {
    for (let i = 0; i < end; i += 1) {
      const [a, b] = [ordered[i] as T, ordered[i + 1] as T];
      const known = rank.has(key(a)) && rank.has(key(b));
      if (size(b) > size(a) * (known ? clearly : 1)) [ordered[i], ordered[i + 1]] = [b, a];
    }
  }
  return ordered;
}

/** Gives each name one of `slots` numbers and keeps it while the name stays; a free number goes to the next newcomer. */
export class Slots {
  readonly #taken = new Map<string, number>();

  assign(names: readonly string[], slots: number): Map<string, number> {
    for (const name of this.#taken.keys()) if (!names.includes(name)) this.#taken.delete(name);
    const free = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => ![...this.#taken.values()].includes(slot));
    for (const name of names) if (!this.#taken.has(name)) this.#taken.set(name, free.shift() ?? 0);
    return new Map(names.map((name) => [name, this.#taken.get(name) ?? 0]));
  }
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
