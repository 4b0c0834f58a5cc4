"""The batch process's rhythm: stream -> lake -> states -> frontier, every few seconds; a new view without waiting for that.

Everything it calls may fail and is tried again from what is durable; being Fenced is the one thing that ends it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tailrace.errors import Conflict, Fenced, TailraceError
from tailrace.runtime.clock import Clock
from tailrace.serving.handover import CycleReport, Handover
from tailrace.states.manifest import ManifestStore

LOG = logging.getLogger(__name__)
LOOK_S = 0.5
RETRY_S = 2.0
HOUSE_S = 60.0


def run_batch(
    consume: Callable[[], bool],
    handover: Handover,
    store: ManifestStore,
    clock: Clock,
    interval_s: float,
    stop: threading.Event,
    on_cycle: Callable[[CycleReport], None] = lambda report: None,
    keep_house: Callable[[], None] = lambda: None,
) -> None:
    """Until `stop`. `consume` moves sealed epochs into the lake and says whether more of them wait already; `keep_house` is called
    after each cycle that left nothing waiting, and once in a while in any case.

    Raises Fenced when another batch process has taken over.
    """
    due_s = kept_s = clock.monotonic_s()
    while not stop.is_set():
        try:
            if store.keep_holds(clock.now_us()):
                pass  # a backup is being taken: nothing that it copies may change
            elif clock.monotonic_s() >= due_s:
                more = consume()
                report = handover.cycle()
                behind = more or bool(report.waiting)
                due_s = clock.monotonic_s() + (LOOK_S if behind else interval_s)
                on_cycle(report)
                if not behind or clock.monotonic_s() - kept_s >= HOUSE_S:
                    keep_house()
                    kept_s = clock.monotonic_s()
            elif views_to_build(store):
                on_cycle(handover.cycle())
        except Fenced:
            raise
        except Conflict as error:
            LOG.warning("the manifest moved under a cycle, doing it again: %s", error.message)
        except TailraceError as error:
            LOG.error("batch stands still: %s (%s)", error.message, error.hint)
            due_s = clock.monotonic_s() + RETRY_S
        except OSError as error:
            LOG.error("batch stands still: %s (is the disk full, or failing?)", error)
            due_s = clock.monotonic_s() + RETRY_S
        stop.wait(LOOK_S)


def views_to_build(store: ManifestStore) -> bool:
    """Whether a wanted view version is ready in speed and not served yet, a served one is no longer wanted, or is to be built anew."""
    served = {name: states.version for name, states in store.current().views.items()}
    wanted = store.wanted()
    missing = any(view.speed_ready and served.get(view.name) != view.version for view in wanted)
    return missing or bool(served.keys() - {view.name for view in wanted}) or bool(store.rebuilds())
