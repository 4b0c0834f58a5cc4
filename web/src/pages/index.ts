// The pages, in the order of the navigation. What is not needed at first sight is loaded when it is opened.

import type { Component } from "svelte";
import type { Scope } from "../access/session.svelte.ts";
import Overview from "./Overview.svelte";

export interface PageEntry {
  readonly id: string;
  readonly label: string;
  /** Shows the time range picker of url/time.svelte.ts in the header. */
  readonly timed: boolean;
  /** Who has it not, in all streams, does not see the page in the navigation. */
  readonly scope?: Scope;
  readonly load: () => Promise<Component> | Component;
}

export const PAGES: readonly PageEntry[] = [
  { id: "overview", label: "Overview", timed: false, load: () => Overview },
  { id: "dashboards", label: "Dashboards", timed: true, load: async () => (await import("./Dashboards.svelte")).default },
  { id: "explore", label: "Explore", timed: true, load: async () => (await import("./Explore.svelte")).default },
  { id: "alerts", label: "Alerts", timed: false, load: async () => (await import("./Alerts.svelte")).default },
  { id: "pipeline", label: "Pipeline", timed: false, load: async () => (await import("./Pipeline.svelte")).default },
  { id: "access", label: "Access", timed: false, scope: "admin", load: async () => (await import("./Access.svelte")).default },
];

export function pageOf(id: string): PageEntry {
  return PAGES.find((page) => page.id === id) ?? (PAGES[0] as PageEntry);
}
