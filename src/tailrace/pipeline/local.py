"""A whole node on this machine: lock the data folder, bind the port, keep the processes alive, end them in order.

Used by `tailrace up` and `tailrace demo`; each shows what `on_event` tells in its own way.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from tailrace import __version__
from tailrace.config.handed_on import write_settings
from tailrace.config.listen import require_loopback, url_of
from tailrace.config.settings import Settings
from tailrace.errors import Invalid, TailraceError, Unavailable
from tailrace.model.window import iso
from tailrace.pipeline import lock, readiness
from tailrace.pipeline.child import Event
from tailrace.pipeline.listen import bind
from tailrace.pipeline.roles import child_specs
from tailrace.pipeline.run_file import RunFile, RunningProcess, remove_run_file, write_run_file
from tailrace.pipeline.supervisor import Supervisor
from tailrace.runtime.clock import Clock

UNUSABLE_CODE = 2
"""Exit code of a child that cannot do its work until a person changes something."""


class LocalNode:
    """Made, started and stopped once, by one thread; `on_event` is called from others, one call at a time."""

    def __init__(self, settings: Settings, clock: Clock, on_event: Callable[[Event], None]) -> None:
        self.url = ""
        self._settings = settings
        self._clock = clock
        self._on_event = on_event
        self._started_at = ""
        self._lock: lock.DataLock | None = None
        self._socket: socket.socket | None = None
        self._supervisor: Supervisor | None = None
        self._was_ready: set[str] = set()
        self._fatal: TailraceError | None = None

    def start(self) -> None:
        """Returns once the processes are on their way.

        Raises Invalid (the address may not be used), Conflict (a node runs on the folder), Unavailable (port taken, folder not
        writable): then nothing runs.
        """
        require_loopback(self._settings.listen_host)
        self._lock = lock.acquire(self._settings.run_dir, self._clock)
        try:
            self._socket = bind(self._settings.listen_host, self._settings.listen_port)
        except TailraceError:
            self._lock.release()
            raise
        self.url = url_of(self._settings.listen_host, self._socket.getsockname()[1])
        self._started_at = iso(self._clock.now_us() // 1000 * 1000)
        write_settings(self._settings)
        specs = child_specs(self._settings, self._socket.fileno(), self._lock.handle)
        self._supervisor = Supervisor(specs, self._clock, self._note)
        self._write_run_file(self._supervisor)
        self._supervisor.start()

    def is_ready(self) -> readiness.Readiness:
        """Whether it answers. Raises what keeps it from ever answering."""
        if self._fatal is not None:
            raise self._fatal
        return readiness.ask(self.url)

    def wait_ready(
        self, timeout_s: float, stop: threading.Event, on_wait: Callable[[str], None] = lambda reason: None
    ) -> bool:
        """True once it answers, False if `stop` came first. Raises what `is_ready` raises, or Unavailable after `timeout_s`.

        `on_wait` is called about ten times a second with what it waits for.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        while True:
            state = self.is_ready()
            if state.ready:
                return True
            if self._clock.monotonic_s() >= deadline_s:
                raise Unavailable(
                    f"the node does not answer after {timeout_s:.0f} s: {state.reason}",
                    hint=f"read the logs in {self._settings.run_dir}, or run: tailrace doctor",
                )
            on_wait(state.reason)
            if stop.wait(0.1):
                return False

    def check(self) -> None:
        """Raises what keeps a process from ever doing its work."""
        if self._fatal is not None:
            raise self._fatal

    def processes(self) -> list[RunningProcess]:
        """Those alive now."""
        children = self._supervisor.children if self._supervisor else []
        return [
            RunningProcess(role=c.spec.role, name=c.spec.name, pid=pid, restarts=c.restarts)
            for c in children
            if (pid := c.pid) is not None
        ]

    def stop(self, hard: threading.Event) -> None:
        """End all in the order of the data; returns once they are gone. `hard`, set at any time: kill what is left."""
        if self._socket is not None:
            self._socket.close()
        if self._supervisor is not None:
            self._supervisor.stop(hard)
            remove_run_file(self._settings.run_dir)
        if self._lock is not None:
            self._lock.release()

    def _note(self, event: Event) -> None:
        if event.kind == "ready":
            self._was_ready.add(event.name)
        if event.kind == "died" and event.code == UNUSABLE_CODE and event.name not in self._was_ready:
            words = event.text.partition("last words: ")[2] or event.text
            self._fatal = Invalid(
                f"process {event.name} cannot start: {words}",
                hint=f"the whole log: {self._settings.run_dir / event.name}.log",
            )
        if event.kind in ("started", "died", "ended") and self._supervisor is not None:
            self._write_run_file(self._supervisor)
        self._on_event(event)

    def _write_run_file(self, supervisor: Supervisor) -> None:
        write_run_file(
            self._settings.run_dir,
            RunFile(
                pid=os.getpid(),
                url=self.url,
                data_dir=str(self._settings.data_dir),
                views_dir=str(self._settings.views_dir),
                started_at=self._started_at,
                version=__version__,
                processes=self.processes(),
            ),
        )
