// Repeats a request while somebody looks at the page. Never two at once; a hidden tab asks nothing, nor one that has to log in first.

import { session } from "../access/session.svelte.ts";

export interface Poll {
  stop(): void;
}

export function poll(everyMs: () => number, ask: (signal: AbortSignal) => Promise<void>): Poll {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  let running = false;
  const abort = new AbortController();

  const round = async (): Promise<void> => {
    if (stopped || running || document.visibilityState === "hidden") return;
    running = true;
    clearTimeout(timer);
    if (session.state === "asking") await session.ask();
    if (session.state === "in") await ask(abort.signal);
    running = false;
    if (!stopped) timer = setTimeout(() => void round(), everyMs());
  };
  const resume = (): void => void round();

  document.addEventListener("visibilitychange", resume);
  const forget = session.onEnter(resume);
  void round();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", resume);
      forget();
      abort.abort();
    },
  };
}
