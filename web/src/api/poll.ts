// Repeats a request while somebody looks at the page. Never two at once; a hidden tab asks nothing.

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
    await ask(abort.signal);
    running = false;
    if (!stopped) timer = setTimeout(() => void round(), everyMs());
  };
  const resume = (): void => void round();

  document.addEventListener("visibilitychange", resume);
  void round();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", resume);
      abort.abort();
    },
  };
}
