"""One process of a run: makes its share of the slots and sends them. Started by `fleet`, spoken to over pipes, a JSON object a line.

In, on standard input: an `Assignment`, then orders; its end means that whoever started it is gone. Out, on the descriptor that the
assignment names: `ready`, then how it goes, four times a second, and at last `done`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from tailrace.errors import TailraceError
from tailrace.producers.draft import Draft
from tailrace.producers.feed import Post, wait_until
from tailrace.producers.lines import Renderer
from tailrace.producers.manifest import ManifestWriter
from tailrace.producers.scenarios.timeline import Timeline
from tailrace.producers.sinks.targets import kind_of, make_sink
from tailrace.producers.spec import PARTS, RunSpec, pieces
from tailrace.producers.traffic import Times, share_of
from tailrace.producers.truth import truth_of
from tailrace.runtime.clock import SystemClock

REPORT_S = 0.25
AHEAD_US = 150_000
"""A slot is made so long before it is due: late enough for what was ordered a second before, early enough to be in time."""
ORPHANED_S = 5.0
"""How long to wait for what is on the way when nobody is there any more."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Process `process` of `spec.processes`. `settled`: posts that need no sending.

    `report`: a file descriptor. `manifest`: empty for none. `key`: what the node is shown; in no manifest.
    """

    spec: RunSpec
    process: int
    manifest: str
    report: int
    patience_s: float
    settled: list[int] = []
    key: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`begin`: go, slot 0 is then. `timeline`: another one from now on. `stop_s`: end now, and wait so long for what is on the way."""

    begin: Times | None = None
    timeline: Timeline | None = None
    stop_s: float | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`is_`: ready, going or done. `at_us`: wall time.

    `counts`: of SinkCounts. `acks`: see Tally.ack_times. `slot`: the next to be made.
    """

    is_: str
    counts: dict[str, Any] = {}
    acks: dict[int, int] = {}
    slot: int = 0
    at_us: int = 0
    problem: dict[str, str] | None = None


class Process:
    """The work, apart from the pipes."""

    def __init__(self, given: Assignment) -> None:
        self._given, self._spec = given, given.spec
        self._clock = SystemClock()
        self._manifest = ManifestWriter(Path(given.manifest)) if given.manifest else None
        self._sink = make_sink(self._spec, self._clock, self._manifest, given.key)
        self._traffic = self._spec.traffic()
        self._renderer = Renderer(self._spec.profile, self._traffic.statuses, self._spec.run)
        self._keyed = kind_of(self._spec.target) in ("kinesis", "kafka")
        self._paths = [endpoint.path for endpoint in self._spec.profile.endpoints]
        self._settled = frozenset(given.settled)
        self._again: deque[Post] = deque()
        self.stop = threading.Event()
        self.slot = given.process

    def begin(self, times: Times) -> None:
        """Before `run`: when slot 0 is."""
        self._traffic.times = times

    def follow(self, timeline: Timeline) -> None:
        """From the next slot that is made."""
        self._traffic.timeline = timeline

    def run(self) -> None:
        """Until the last slot has been handed to the sink, or `stop` is set."""
        for slot in share_of(self._spec.slots, self._given.process, self._spec.processes):
            self.slot = slot
            due_us = self._traffic.times.due_us(self.slot)
            if not wait_until(due_us - AHEAD_US, self._clock, self.stop):
                return
            if not all(self._send(post) for post in self._posts(self.slot, due_us)):
                return
            while len(self._again) > 1 and self._sink.put(self._again[0], self.stop):
                self._again.popleft()
        while self._again and self._sink.put(self._again[0], self.stop):
            self._again.popleft()

    def progress(self, is_: str) -> Progress:
        counts = asdict(self._sink.counts())
        return Progress(is_=is_, counts=counts, acks=self._sink.ack_times, slot=self.slot, at_us=self._clock.now_us())

    def end_within(self, seconds: float) -> None:
        """Make nothing more; wait so long for what is on the way. Any thread may say so."""
        self.stop.set()
        self._sink.give_up_after(seconds)

    def close(self) -> None:
        self._sink.close(self._given.patience_s)
        if self._manifest is not None:
            self._manifest.close()

    def _posts(self, slot: int, due_us: int) -> Iterator[Post]:
        """Those of a slot that are still to be sent, each in the manifest before it is given away."""
        for n, piece in pieces(self._traffic, slot, self._settled):
            post = self._post(piece, n, due_us)
            yield post
            if self._traffic.is_sent_again(slot, n % PARTS):
                self._again.append(replace(post, again=True))

    def _post(self, piece: Draft, n: int, due_us: int) -> Post:
        truth = truth_of(piece, self._traffic.statuses)
        if self._manifest is not None:
            self._manifest.begun(n, truth)
        keys = [self._paths[place] for place in piece.endpoint.tolist()] if self._keyed else None
        return Post(self._renderer.body(piece, n), truth.lines, due_us, n, dead=truth.dead_lines, keys=keys)

    def _send(self, post: Post) -> bool:
        sent = wait_until(post.due_us, self._clock, self.stop) and self._sink.put(post, self.stop)
        if not sent and self._manifest is not None and post.n is not None:
            self._manifest.unsent(post.n)
        return sent


class _Pipes:
    """`orders` are obeyed by a thread; reports go out from another."""

    def __init__(self, report: int) -> None:
        self._out = os.fdopen(report, "wb", buffering=0)
        self._lock = threading.Lock()
        self.begin = threading.Event()

    def say(self, progress: Progress) -> None:
        with self._lock:
            try:
                self._out.write(msgspec.json.encode(progress) + b"\n")
            except OSError:
                # Whoever asked is gone; the orders' end says so too.
                return

    def obey(self, process: Process) -> None:
        for line in sys.stdin.buffer:
            order = msgspec.json.decode(line, type=Order)
            if order.timeline is not None:
                process.follow(order.timeline)
            if order.begin is not None:
                process.begin(order.begin)
                self.begin.set()
            if order.stop_s is not None:
                process.end_within(order.stop_s)
        process.end_within(ORPHANED_S)
        self.begin.set()

    def report(self, process: Process, ended: threading.Event) -> None:
        while not ended.wait(REPORT_S):
            self.say(process.progress("going"))


def main() -> None:
    """See the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    given = msgspec.json.decode(sys.stdin.buffer.readline(), type=Assignment)
    pipes, ended = _Pipes(given.report), threading.Event()
    try:
        process = Process(given)
    except TailraceError as error:
        pipes.say(Progress(is_="done", problem=error.as_json()["error"]))
        raise SystemExit(3) from error
    threading.Thread(target=pipes.obey, args=(process,), daemon=True).start()
    pipes.say(process.progress("ready"))
    pipes.begin.wait()
    threading.Thread(target=pipes.report, args=(process, ended), daemon=True).start()
    process.run()
    process.close()
    ended.set()
    pipes.say(process.progress("done"))


if __name__ == "__main__":
    main()
