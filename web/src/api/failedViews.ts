// GET /v1/views: of all view files, those that do not compile. /v1/pipeline knows only what runs.

import { getJson } from "./http.ts";
import type { ApiError } from "../live/frames.ts";

export interface FailedView {
  /** The path of its file: what does not compile has no other name. */
  readonly name: string;
  readonly error: Pick<ApiError, "message" | "hint">;
}

type Listed = { readonly status: string } & Partial<FailedView>;

export async function askFailedViews(signal: AbortSignal): Promise<readonly FailedView[]> {
  const { views } = await getJson<{ views: readonly Listed[] }>("v1/views", {}, signal);
  return views.filter((view): view is Listed & FailedView => view.status === "failed" && view.name !== undefined && view.error !== undefined);
}
