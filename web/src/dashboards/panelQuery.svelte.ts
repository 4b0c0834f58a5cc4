// The data of one panel: a view, live or of a fixed stretch of time; or a query, asked again and again. With the period before, if wanted.

import { asApiError, getJson, sendJson } from "../api/http.ts";
import { poll } from "../api/poll.ts";
import { clock } from "../live/clock.svelte.ts";
import type { ApiError, Cell, Snapshot, Subscription } from "../live/frames.ts";
import { type Past, pastParams, ViewQuery } from "../live/query.svelte.ts";
import { spanMs } from "../model/windows.ts";
import type { Answer } from "./answer.ts";
import { autoStep, stepText } from "./answer.ts";
import { catalog, type ViewInfo } from "./catalog.svelte.ts";
import { FieldError, type Field, parseFields } from "./expression.ts";
import { isSql, isTimed, type PanelModel, type ViewData } from "./model.ts";
import { type Chosen, filledCondition, filledSql } from "./variables.ts";

/** What holds for the whole dashboard: a stretch of time that ends now (`past` null), or a fixed one. */
export interface Scope {
  readonly overMs: number;
  readonly over: string;
  readonly past: Past | null;
  readonly chosen: Chosen;
  /** How far back the period to compare with lies. */
  readonly compareMs: number | null;
}

const SQL_EVERY_MS = 10_000;
const SQL_ROWS_MAX = 10_000;
const COMPARE_EVERY_MS = 30_000;
const VIEW_WINDOW_MS = 10_000;

export class PanelQuery {
  readonly #panel: () => PanelModel;
  readonly #scope: () => Scope;
  /** Out of sight nothing is asked; the last answer stays. */
  readonly #inSight: () => boolean;
  readonly #live: ViewQuery;
  #sqlAnswer = $state.raw<Answer | null>(null);
  #sqlError = $state.raw<ApiError | null>(null);
  #before = $state.raw<Answer | null>(null);

  /** Must be made while a component is set up: it ends with it. */
  constructor(panel: () => PanelModel, scope: () => Scope, inSight: () => boolean) {
    this.#panel = panel;
    this.#inSight = inSight;
    this.#scope = scope;
    this.#live = new ViewQuery(
      () => this.#subscription(),
      () => this.range,
    );
    $effect(() => this.#followSql());
    $effect(() => this.#followBefore());
  }

  get #data(): ViewData | null {
    const { data } = this.#panel();
    return data === null || isSql(data) ? null : data;
  }

  get isSql(): boolean {
    return isSql(this.#panel().data);
  }

  get view(): ViewInfo | null {
    return this.#data === null ? null : catalog.view(this.#data.view);
  }

  get windowMs(): number {
    return this.view?.windowMs ?? VIEW_WINDOW_MS;
  }

  get timed(): boolean {
    return isTimed(this.#panel().kind);
  }

  /** How long a stretch is shown. */
  get overMs(): number {
    const own = this.#data?.over ?? null;
    return own === null ? this.#scope().overMs : spanMs(own);
  }

  /** The fixed stretch, or null where it ends now. A panel with a length of its own shows the end of it. */
  get range(): Past | null {
    const { past } = this.#scope();
    return past === null || this.#data?.over == null ? past : { ...past, from: Math.max(past.from, past.to - this.overMs) };
  }

  get stepMs(): number {
    const step = this.#data?.step ?? "auto";
    return step === "auto" ? autoStep(this.overMs, this.windowMs) : Math.max(spanMs(step), this.windowMs);
  }

  get #condition(): string | null {
    return filledCondition(this.#data?.where ?? null, this.#scope().chosen);
  }

  /** Null while nothing is to be asked, as the view's columns are not known yet or the panel has no data. */
  #subscription(): Subscription | null {
    const data = this.#data;
    if (!this.#inSight() || data === null || data.view === "" || this.view === null) return null;
    const rank = data.order ?? this.fields[0]?.columns[0] ?? null;
    const keys = this.keys;
    return {
      view: data.view,
      over: this.#overText(data),
      step: this.timed ? stepText(this.stepMs) : null,
      total: !this.timed,
      where: this.#condition,
      top: keys.length === 0 || rank === null ? null : { by: rank, n: data.limit, ...(keys.length > 1 ? { key: keys[0] as string } : {}) },
      keys,
    };
  }

  /**
   * The keys that rows are told apart by; over all others they are merged. Bars of a view with two keys or more: the first that does not
   * make the series is the axis, whose largest values are kept.
   */
  get keys(): string[] {
    const by = this.#data?.by ?? null;
    if (by === null || this.view === null || !this.view.keys.includes(by)) return [];
    const other = this.#panel().kind === "bar" ? this.view.keys.find((key) => key !== by) : undefined;
    return other === undefined ? [by] : [other, by];
  }

  #overText(data: ViewData): string {
    return data.over ?? this.#scope().over;
  }

  /** Read once a change of the panel; with what is wrong in them, if anything is. */
  readonly #parsed = $derived.by((): { fields: readonly Field[]; error: ApiError | null } => {
    try {
      return { fields: parseFields(this.#data?.fields ?? []), error: null };
    } catch (reason) {
      if (!(reason instanceof FieldError)) throw reason;
      return { fields: [], error: { code: "field", message: reason.message, hint: "for example: error_rate = 100 * server_errors / requests" } };
    }
  });

  get fields(): readonly Field[] {
    return this.#parsed.fields;
  }

  get frame(): Snapshot | null {
    return this.#live.frame;
  }

  get answer(): Answer | null {
    return this.isSql ? this.#sqlAnswer : this.#live.frame;
  }

  /** The same of the period before; null where none is wanted or known. */
  get before(): Answer | null {
    return this.#before;
  }

  get waiting(): boolean {
    return this.isSql ? this.#sqlAnswer === null && this.#sqlError === null : this.#live.waiting;
  }

  get late(): ViewQuery["late"] {
    return this.isSql ? null : this.#live.late;
  }

  get error(): ApiError | null {
    if (this.isSql) return this.#sqlError;
    const data = this.#data;
    if (data !== null && catalog.loaded && this.view === null) {
      return { code: "not_found", message: `there is no view \`${data.view}\``, hint: "edit this panel and choose another, or bring the view's file back" };
    }
    return this.#parsed.error ?? this.#live.error;
  }

  #followSql(): (() => void) | undefined {
    const { data } = this.#panel();
    if (!isSql(data) || !this.#inSight()) return undefined;
    const { past, overMs, chosen } = this.#scope();
    const { sql } = data;
    const running = poll(
      () => (past === null ? SQL_EVERY_MS : SQL_EVERY_MS * 6),
      async (signal) => {
        const to = past?.to ?? clock.nowOnce();
        const asked = filledSql(sql, chosen, past?.from ?? to - overMs, to);
        try {
          const answer = await sendJson<{ columns: readonly { name: string; type: string }[]; rows: readonly (readonly Cell[])[] }>("POST", "v1/query", { sql: asked }, { signal });
          this.#sqlAnswer = { columns: answer.columns.map((column) => column.name), rows: answer.rows.slice(0, SQL_ROWS_MAX), others: 0 };
          this.#sqlError = null;
        } catch (reason) {
          if (!signal.aborted) this.#sqlError = asApiError(reason);
        }
      },
    );
    return () => running.stop();
  }

  #followBefore(): (() => void) | undefined {
    const { compareMs, past } = this.#scope();
    const spec = this.#subscription();
    this.#before = null;
    if (compareMs === null || spec === null) return undefined;
    const running = poll(
      () => COMPARE_EVERY_MS,
      async (signal) => {
        const grid = this.timed ? this.stepMs : this.windowMs;
        const to = Math.ceil((past?.to ?? clock.nowOnce()) / grid) * grid;
        const from = past?.from ?? to - this.overMs;
        try {
          this.#before = await getJson<Answer>(`v1/views/${encodeURIComponent(spec.view)}`, pastParams(spec, { from: from - compareMs, to: to - compareMs }), signal);
        } catch {
          this.#before = null;
        }
      },
    );
    return () => running.stop();
  }
}
