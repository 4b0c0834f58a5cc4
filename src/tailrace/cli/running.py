"""A node inside a command: started, shown, and ended by Ctrl-C. Used by `up` and `demo`."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tailrace.cli.output import console, print_json
from tailrace.config.settings import Settings
from tailrace.pipeline import signals
from tailrace.pipeline.certificate import certificate_files
from tailrace.pipeline.child import Event
from tailrace.pipeline.local import LocalNode
from tailrace.runtime.clock import SystemClock

if TYPE_CHECKING:
    from rich.status import Status

SLOW_S = 60.0
"""After so long, and each time again, it is said what a start waits for."""


@dataclass(slots=True)
class Show:
    """Says what happens: text for people, or one JSON object a line. Once nobody reads it, it is silent: the node goes on."""

    as_json: bool
    out: Any
    silent: bool = False
    status: Status | None = None

    @classmethod
    def of(cls, *, as_json: bool) -> Self:
        return cls(as_json, console())

    def lines(self, *texts: str) -> None:
        """For people only."""
        if not self.as_json:
            for text in texts:
                self._write(self.out.print, text, soft_wrap=True)

    def event(self, kind: str, /, **values: Any) -> None:
        """For programs only."""
        if self.as_json:
            self._write(print_json, {"event": kind, **values})

    def progress(self, text: str | None) -> None:
        """A line that is replaced by the next one; None removes it. On a terminal only."""
        if self.as_json or not self.out.is_terminal:
            return
        if text is None:
            if self.status is not None:
                self.status.stop()
                self.status = None
            return
        from rich.text import Text

        line = Text.from_markup(text, overflow="ellipsis")
        line.no_wrap = True
        if self.status is None:
            self.status = self.out.status(line, spinner="dots", refresh_per_second=8)
            self.status.start()
        else:
            self.status.update(line)

    def _write(self, write: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        if self.silent:
            return
        try:
            write(*args, **kwargs)
        except OSError:
            self.silent = True


class Running:
    """A context: the node's processes run inside it, and are gone after it, whatever happened."""

    def __init__(self, settings: Settings, show: Show) -> None:
        self.settings = settings
        self.show = show
        self.clock = SystemClock()
        self.stopping = threading.Event()
        self._hard = threading.Event()
        self._node = LocalNode(settings, self.clock, self._note)
        self._started_s = self.clock.monotonic_s()
        self._ready: list[str] = []

    def __enter__(self) -> Self:
        signals.watch((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._on_signal)
        self._started_s = self.clock.monotonic_s()
        self._node.start()
        self.show.event("starting", url=self.url, data_dir=str(self.settings.data_dir))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        began_s = self.clock.monotonic_s()
        self.stopping.set()
        self.show.progress("ending: what was taken in is made durable")
        self._node.stop(self._hard)
        self.show.progress(None)
        took_s = round(self.clock.monotonic_s() - began_s, 1)
        self.show.event("stopped", seconds=took_s)
        if kind is None:
            self.show.lines(f"[dim]ended in {took_s} s; the data stays in {self.settings.data_dir}[/]")

    @property
    def url(self) -> str:
        return self._node.url

    @property
    def key(self) -> str:
        """What the node lets this command in with."""
        return self._node.key

    @property
    def tls_url(self) -> str:
        """Empty where TLS is not spoken."""
        return self._node.tls_url

    def wait_ready(self) -> bool:
        """Shows what it waits for; False if it was told to stop. Raises Invalid if it never will be ready."""

        told_s = 0.0

        def on_wait(reason: str) -> None:
            nonlocal told_s
            seconds = self.clock.monotonic_s() - self._started_s
            if seconds >= told_s + SLOW_S:
                told_s = seconds
                self.show.event("slow", seconds=round(seconds), reason=reason)
                self.show.lines(
                    f"not ready after {seconds:.0f} s: {_plain(reason)}; its logs are in {self.settings.run_dir}"
                )
            there = ", ".join(self._ready) or "none yet"
            self.show.progress(f"starting {seconds:4.1f} s   ready: {there}   [dim]{_plain(reason)}[/]")

        if not self.show.as_json and not self.show.out.is_terminal:
            self.show.lines(f"starting a node at {self.url}")
        try:
            if not self._node.wait_ready(self.stopping, on_wait):
                return False
        finally:
            self.show.progress(None)
        seconds = round(self.clock.monotonic_s() - self._started_s, 1)
        self.show.lines(f"[bold green]ready[/] after {seconds} s")
        if self.tls_url:
            certificate, _ = certificate_files(self.settings)
            self.show.lines(f"over TLS   [cyan]{self.tls_url}[/]   [dim]certificate {certificate}[/]")
        self.show.event("ready", url=self.url, tls_url=self.tls_url, seconds=seconds, processes=self._process_list())
        return True

    def wait(self, seconds: float | None) -> None:
        """Until it is told to stop, or for `seconds`. Raises Invalid if a process can never do its work."""
        deadline_s = None if seconds is None else self.clock.monotonic_s() + seconds
        while not self.stopping.wait(0.25):
            self._node.check()
            if deadline_s is not None and self.clock.monotonic_s() >= deadline_s:
                return

    def process_words(self) -> str:
        """`ingest x2, node, batch, query`."""
        counts = Counter(process.role for process in self._node.processes())
        return ", ".join(role if count == 1 else f"{role} x{count}" for role, count in counts.items())

    def _process_list(self) -> list[dict[str, Any]]:
        return [{"role": p.role, "name": p.name, "pid": p.pid} for p in self._node.processes()]

    def _on_signal(self, number: signal.Signals) -> None:
        # A closed terminal and a service manager send several at once: only a repeated wish of a person is one.
        if self.stopping.is_set() and number == signal.SIGINT:
            self._hard.set()
        self.stopping.set()

    def _note(self, event: Event) -> None:
        """Called for each event of the processes, one at a time."""
        self.show.event(f"process_{event.kind}", role=event.role, name=event.name, pid=event.pid, reason=event.text)
        if event.kind == "ready":
            self._ready.append(event.name)
        elif event.kind == "died":
            if event.name in self._ready:
                self._ready.remove(event.name)
            self.show.lines(f"[yellow]{event.name}[/] (pid {event.pid}) {_plain(event.text)}; it is started again")
        elif event.kind == "problem":
            self.show.lines(f"[red]{event.name}[/] {_plain(event.text)}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
