"""All senders of a plan, a process each, between enter and exit."""

from __future__ import annotations

import multiprocessing
from typing import Any, Self

from tailrace.errors import Unavailable
from tailrace.runtime.clock import SystemClock
from tailrace.testing.load.ack_log import Acked
from tailrace.testing.load.plan import LoadPlan
from tailrace.testing.load.sender import COUNTERS, send

SPAWN = multiprocessing.get_context("spawn")
STOP_S_MAX = 180.0
_CLOCK = SystemClock()


class Senders:
    """They begin on enter. `stop` sees through the posts under way; what is left then is ended by exit."""

    def __init__(self, plan: LoadPlan, port: int) -> None:
        self.plan = plan
        self._stop, self._rest = SPAWN.Event(), SPAWN.Event()
        self._counters: list[Any] = [SPAWN.Array("q", len(COUNTERS), lock=False) for _ in range(plan.senders)]
        self._complaints = [SPAWN.Pipe(duplex=False) for _ in range(plan.senders)]
        self._processes = [
            SPAWN.Process(
                target=send,
                args=(
                    plan,
                    sender,
                    port,
                    self._counters[sender],
                    self._stop,
                    self._rest,
                    self._complaints[sender][1],
                ),
                daemon=True,
            )
            for sender in range(plan.senders)
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def acked(self) -> Acked:
        """What has been acknowledged by now."""
        return Acked(self.plan, tuple(int(counters[0]) for counters in self._counters))

    def counts(self) -> dict[str, int]:
        """The sum over all senders of each of COUNTERS."""
        return {name: sum(int(c[place]) for c in self._counters) for place, name in enumerate(COUNTERS)}

    def complaints(self) -> list[str]:
        """New ones since the last call; a sender that has died is one."""
        found = [end.recv() for end, _ in self._complaints if end.poll()]
        dead = [sender for sender, process in enumerate(self._processes) if process.exitcode not in (None, 0)]
        return found + [f"sender {sender} died: exit code {self._processes[sender].exitcode}" for sender in dead]

    def rest(self) -> None:
        """Returns once no post is under way. Raises Unavailable if one is not acknowledged within three minutes."""
        self._rest.set()
        deadline_s = _CLOCK.monotonic_s() + STOP_S_MAX
        while not all(counters[COUNTERS.index("resting")] for counters in self._counters):
            if _CLOCK.monotonic_s() > deadline_s:
                raise Unavailable(f"a post is not acknowledged after {STOP_S_MAX:.0f} s")
            _CLOCK.sleep(0.05)

    def go_on(self) -> None:
        self._rest.clear()

    def stop(self) -> None:
        """Raises Unavailable if a post is not acknowledged within three minutes."""
        self._stop.set()
        for sender, process in enumerate(self._processes):
            process.join(STOP_S_MAX)
            if process.is_alive():
                raise Unavailable(f"sender {sender} waits for an answer since {STOP_S_MAX:.0f} s")
