"""A whole node on this machine: lock the data folder, bind the port, keep the processes alive, end them in order.

Used by `tailrace up` and `tailrace demo`; each shows what `on_event` tells in its own way.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace

from tailrace import __version__
from tailrace.access.store import AccessStore, has_access
from tailrace.config.handed_on import write_settings
from tailrace.config.listen import require_keys, url_of
from tailrace.config.settings import Settings
from tailrace.errors import Invalid, TailraceError, Unavailable
from tailrace.model.window import iso
from tailrace.pipeline import lock, readiness
from tailrace.pipeline.certificate import ready_certificate
from tailrace.pipeline.child import Event
from tailrace.pipeline.listen import bind
from tailrace.pipeline.roles import child_specs
from tailrace.pipeline.run_file import RunFile, RunningProcess, remove_run_file, write_run_file
from tailrace.pipeline.supervisor import Supervisor
from tailrace.pipeline.versions import check_versions
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import token

LATE_S = 15.0
"""How long a process may be missing once the node answers: it is no reason to keep people waiting."""
UNUSABLE_CODE = 2
"""Exit code of a child that cannot do its work until a person changes something."""


class LocalNode:
    """Made, started and stopped once, by one thread; `on_event` is called from others, one call at a time."""

    def __init__(self, settings: Settings, clock: Clock, on_event: Callable[[Event], None]) -> None:
        self.url = self.tls_url = ""
        self._settings = replace(settings, local_key=token())
        self._clock = clock
        self._on_event = on_event
        self._started_at = ""
        self._lock: lock.DataLock | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._supervisor: Supervisor | None = None
        self._was_ready: set[str] = set()
        self._fatal: TailraceError | None = None

    @property
    def key(self) -> str:
        """Of this run, for commands on this machine."""
        return self._settings.local_key

    def start(self) -> None:
        """Returns once the processes are on their way.

        Raises Invalid (the address may not be used), Newer (a later version has written the folder), Conflict (a node runs on it),
        Unavailable (port taken, folder not writable): then nothing runs.
        """
        has_keys = has_access(self._settings)
        require_keys(self._settings.listen_host, has_keys=has_keys)
        if self._settings.tls is not None:
            require_keys(self._settings.tls.listen_host, has_keys=has_keys)
        check_versions(self._settings)
        self._lock = lock.acquire(self._settings.run_dir, self._clock)
        try:
            self._start(self._lock.handle)
        except OSError as error:
            self.stop(threading.Event())
            raise Unavailable(f"the node cannot start: {error}", hint="run: tailrace doctor") from error
        except TailraceError:
            self.stop(threading.Event())
            raise

    def _start(self, lock_handle: int) -> None:
        AccessStore(self._settings.access_path).make()
        has_keys = has_access(self._settings)
        self._sockets["--listen-handle"] = bind(
            self._settings.listen_host, self._settings.listen_port, has_keys=has_keys
        )
        self.url = url_of(self._settings.listen_host, _port(self._sockets["--listen-handle"]))
        if (tls := self._settings.tls) is not None:
            ready_certificate(self._settings, self._clock)
            self._sockets["--tls-handle"] = bind(tls.listen_host, tls.listen_port, has_keys=has_keys)
            self.tls_url = url_of(tls.listen_host, _port(self._sockets["--tls-handle"]), "https")
        self._started_at = iso(self._clock.now_us() // 1000 * 1000)
        write_settings(self._settings)
        handles = {option: each.fileno() for option, each in self._sockets.items()}
        specs = child_specs(self._settings, handles, lock_handle)
        self._supervisor = Supervisor(specs, self._clock, self._note)
        self._write_run_file()
        self._supervisor.start()

    def wait_ready(self, stop: threading.Event, on_wait: Callable[[str], None] = lambda reason: None) -> bool:
        """True once all of it answers, or most of it and the rest is late; False if `stop` came first.

        As long as it takes: posts are taken in meanwhile, and a node that ended for being slow would begin anew. Raises what keeps a
        process from ever doing its work. `on_wait` is called about ten times a second with what it waits for.
        """
        answers_since_s: float | None = None
        while True:
            self.check()
            state = readiness.ask(self.url)
            late = self._not_ready()
            now_s = self._clock.monotonic_s()
            if state.ready:
                answers_since_s = now_s if answers_since_s is None else answers_since_s
                if not late or now_s - answers_since_s >= LATE_S:
                    return True
            reason = state.reason or f"{', '.join(late)} not there yet"
            on_wait(reason)
            if stop.wait(0.1):
                return False

    def _not_ready(self) -> list[str]:
        children = self._supervisor.children if self._supervisor else []
        return [child.spec.name for child in children if not child.is_ready]

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
        for each in self._sockets.values():
            each.close()
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
        if event.kind in ("started", "died", "ended"):
            try:
                self._write_run_file()
            except OSError as error:
                # The processes must be looked after all the same: a full disk is when it matters.
                text = f"cannot write {self._settings.run_dir}: {error}"
                self._on_event(Event("problem", event.role, event.name, event.pid, text))
        self._on_event(event)

    def _write_run_file(self) -> None:
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
                tls_url=self.tls_url,
            ),
        )


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
