// One dashboard that is open: as it is now, the steps back and forth, and its way to the disk of the node.

import { asApiError, getJson, RequestFailed, sendJson } from "../api/http.ts";
import type { components } from "../api/schema.d.ts";
import type { ApiError } from "../live/frames.ts";
import type { Dashboard, PanelModel } from "./model.ts";

type Schemas = components["schemas"];
type Kept = Omit<Schemas["KeptDashboard"], "dashboard"> & { readonly dashboard: Dashboard };
export type Version = Schemas["DashboardVersion"];

const SAVE_AFTER_MS = 1_500;
const RETRY_AFTER_MS = 5_000;
const STEPS_MAX = 100;
/** Changes of the same thing within this time are one step back: a word typed, a panel dragged. */
const SAME_STEP_MS = 1_000;

export type SaveState = "saved" | "changed" | "saving" | "failed" | "conflict";

export class DashboardSession {
  board = $state.raw<Dashboard | null>(null);
  error = $state.raw<ApiError | null>(null);
  source = $state<"shipped" | "own">("own");
  changedAt = $state<string | null>(null);
  saveState = $state<SaveState>("saved");
  saveError = $state.raw<ApiError | null>(null);

  #past = $state.raw<readonly Dashboard[]>([]);
  #future = $state.raw<readonly Dashboard[]>([]);
  #revision = "";
  #lastStep = { what: "", at: 0 };
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly uid: string;

  readonly canUndo = $derived(this.#past.length > 0);
  readonly canRedo = $derived(this.#future.length > 0);

  constructor(uid: string) {
    this.uid = uid;
  }

  async load(): Promise<void> {
    try {
      this.#take(await getJson<Kept>(this.#path, {}, AbortSignal.timeout(10_000)));
      this.error = null;
    } catch (reason) {
      this.error = asApiError(reason);
    }
  }

  get #path(): string {
    return `v1/dashboards/${this.uid}`;
  }

  #take(kept: Kept): void {
    this.board = kept.dashboard;
    this.#accept(kept);
  }

  #accept(kept: Kept): void {
    this.#revision = kept.revision;
    this.source = kept.source;
    this.changedAt = kept.changed_at;
  }

  /** `what`: changes that share it and follow each other closely are undone together. */
  change(next: Dashboard, what: string): void {
    if (this.board === null) return;
    const now = Date.now();
    const same = what === this.#lastStep.what && now - this.#lastStep.at < SAME_STEP_MS;
    if (!same || this.#past.length === 0) this.#past = [...this.#past, this.board].slice(-STEPS_MAX);
    this.#lastStep = { what, at: now };
    this.#future = [];
    this.board = next;
    this.#saveSoon();
  }

  changePanel(id: string, change: (panel: PanelModel) => PanelModel, what: string): void {
    if (this.board === null) return;
    this.change({ ...this.board, panels: this.board.panels.map((panel) => (panel.id === id ? change(panel) : panel)) }, `${what} ${id}`);
  }

  undo(): void {
    const last = this.#past.at(-1);
    if (last === undefined || this.board === null) return;
    this.#future = [this.board, ...this.#future];
    this.#past = this.#past.slice(0, -1);
    this.#step(last);
  }

  redo(): void {
    const [next, ...rest] = this.#future;
    if (next === undefined || this.board === null) return;
    this.#past = [...this.#past, this.board];
    this.#future = rest;
    this.#step(next);
  }

  #step(to: Dashboard): void {
    this.#lastStep = { what: "", at: 0 };
    this.board = to;
    this.#saveSoon();
  }

  #saveSoon(after = SAVE_AFTER_MS): void {
    if (this.saveState === "conflict") return;
    this.saveState = "changed";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.save(), after);
  }

  /** Now, instead of in a moment. `force`: over what somebody else saved meanwhile. */
  async save(force = false): Promise<void> {
    clearTimeout(this.#timer);
    const sent = this.board;
    if (sent === null || this.saveState === "saving" || (this.saveState === "saved" && !force)) return;
    this.saveState = "saving";
    try {
      const headers: Record<string, string> = force || this.#revision === "" ? {} : { "if-match": `"${this.#revision}"` };
      this.#accept(await sendJson<Kept>("PUT", `${this.#path}?auto=true`, sent, { headers }));
      this.saveError = null;
      this.saveState = "saved";
      if (this.board !== sent) this.#saveSoon();
    } catch (reason) {
      this.saveError = asApiError(reason);
      this.saveState = reason instanceof RequestFailed && reason.error.code === "conflict" ? "conflict" : "failed";
      if (this.saveState === "failed" && this.saveError.code === "unreachable") {
        this.#timer = setTimeout(() => void this.save(), RETRY_AFTER_MS);
      }
    }
  }

  /** What the other one saved, instead of one's own changes. */
  async takeTheirs(): Promise<void> {
    this.saveState = "saved";
    this.#past = [];
    this.#future = [];
    await this.load();
  }

  async versions(): Promise<readonly Version[]> {
    const { versions } = await getJson<{ versions: readonly Version[] }>(`${this.#path}/versions`, {}, AbortSignal.timeout(10_000));
    return versions;
  }

  async restore(version: Version): Promise<void> {
    const { dashboard } = await getJson<{ dashboard: Dashboard }>(`${this.#path}/versions/${version.n}`, {}, AbortSignal.timeout(10_000));
    this.change(dashboard, "restore");
    await this.save();
  }

  /** The own copy goes; what is shipped is back. */
  async reset(): Promise<void> {
    await sendJson("DELETE", this.#path);
    await this.takeTheirs();
  }

  /** What is not saved yet is; nothing is done later. */
  close(): void {
    if (this.saveState === "changed") void this.save();
    clearTimeout(this.#timer);
  }
}
