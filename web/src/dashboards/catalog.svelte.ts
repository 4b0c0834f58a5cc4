// The views that panels can be made of: their keys, columns and windows. Asked once, and again while somebody edits.

import { getJson } from "../api/http.ts";

export interface ViewColumn {
  readonly name: string;
  readonly kind: string;
  readonly unit: string | null;
}

export interface ViewInfo {
  readonly name: string;
  readonly keys: readonly string[];
  readonly windowMs: number;
  readonly columns: readonly ViewColumn[];
}

interface Listed {
  readonly name: string;
  readonly keys?: readonly string[];
  readonly window_ms?: number;
  readonly columns?: readonly ViewColumn[];
}

class Catalog {
  views = $state.raw<readonly ViewInfo[]>([]);
  loaded = $state(false);

  async load(): Promise<void> {
    const { views } = await getJson<{ views: readonly Listed[] }>("v1/views", {}, AbortSignal.timeout(10_000));
    this.views = views.flatMap(({ name, keys, window_ms, columns }) =>
      keys === undefined || window_ms === undefined || columns === undefined ? [] : [{ name, keys, windowMs: window_ms, columns }],
    );
    this.loaded = true;
  }

  view(name: string): ViewInfo | null {
    return this.views.find((view) => view.name === name) ?? null;
  }

  /** Columns that hold numbers: neither key nor window. */
  numbers(name: string): readonly ViewColumn[] {
    const view = this.view(name);
    return view === null ? [] : view.columns.filter((column) => column.name !== "window_start" && !view.keys.includes(column.name));
  }
}

export const catalog = new Catalog();
