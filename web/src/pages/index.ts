// The pages, in the order of the navigation. What is not needed at first sight is loaded when it is opened.

import type { Component } from "svelte";
import Overview from "./Overview.svelte";

export interface PageEntry {
  readonly id: string;
  readonly label: string;
  /** Shows the time range picker of url/time.svelte.ts in the header. */
  readonly timed: boolean;
  readonly load: () => Promise<Component> | Component;
}

export const PAGES: readonly PageEntry[] = [
  { id: "overview", label: "Overview", timed: false, load: () => Overview },
  { id: "pipeline", label: "Pipeline", timed: false, load: async () => (await import("./Pipeline.svelte")).default },
];

export function pageOf(id: string): PageEntry {
  return PAGES.find((page) => page.id === id) ?? (PAGES[0] as PageEntry);
}
