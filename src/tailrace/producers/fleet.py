"""All processes of a run, from the one that a person started: they begin together, follow the same orders, and one that dies is
replaced. Its successor sends again what is not known to be acknowledged, under the same stamps, so that nothing is doubled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from tailrace.errors import Invalid, TailraceError, Unavailable
from tailrace.producers.manifest import read_manifest
from tailrace.producers.process import Assignment, Order, Progress
from tailrace.producers.scenarios.timeline import Timeline
from tailrace.producers.spec import RunSpec, slot_of_post
from tailrace.producers.tally import SinkCounts, ack_quantile_ms
from tailrace.producers.traffic import Times
from tailrace.runtime.clock import Clock

READY_S_MAX = 120.0
DEATHS_MAX = 5
"""Of one place in the fleet; more is no accident."""


@dataclass(slots=True)
class _Member:
    """`last`: what it said last. `before`: what those said that were in its place."""

    place: int
    running: subprocess.Popen[bytes]
    last: Progress
    before: Progress
    deaths: int = 0


class Fleet:
    """A context manager: what still runs at its end is killed. `manifest`: a file that is there, or None. `patience_s`: how long to wait
    for what is on the way once everything is made."""

    def __init__(
        self,
        spec: RunSpec,
        clock: Clock,
        *,
        manifest: Path | None,
        patience_s: float,
        key: str = "",
    ) -> None:
        self._spec, self._clock, self._manifest = spec, clock, manifest
        self._patience_s, self._key = patience_s, key
        self._settled: frozenset[int] = frozenset()
        self._stop_s: float | None = None
        self._lock = threading.RLock()
        self.restarts = 0
        self._begun: Times | None = None
        self._members: list[_Member] = []
        none = Progress(is_="going")
        with self._lock:
            for place in range(spec.processes):
                self._members.append(_Member(place, self._started(place), none, none))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for member in self._members:
                member.deaths = DEATHS_MAX
                member.running.kill()
                member.running.wait()
                _hang_up(member.running)

    def wait_ready(self) -> None:
        """Raises what a process could not begin for."""
        deadline_s = self._clock.monotonic_s() + READY_S_MAX
        while any(member.last.is_ == "going" for member in self._members):
            self._check_problems()
            if self._clock.monotonic_s() > deadline_s:
                raise Unavailable(
                    f"the processes are not ready after {READY_S_MAX:.0f} s", hint="ask for fewer --processes"
                )
            self._clock.sleep(0.01)
        self._check_problems()

    def begin(self, times: Times) -> None:
        self._begun = times
        self._spec = msgspec.structs.replace(self._spec, times=times)
        self._order_all(Order(begin=times))

    def follow(self, timeline: Timeline) -> None:
        self._spec = msgspec.structs.replace(self._spec, timeline=timeline)
        self._order_all(Order(timeline=timeline))

    def stop(self, stop_s: float) -> None:
        """Make nothing more, wait so long for what is on the way."""
        self._stop_s = stop_s
        self._order_all(Order(stop_s=stop_s))

    @property
    def spec(self) -> RunSpec:
        return self._spec

    @property
    def pids(self) -> list[int]:
        return [member.running.pid for member in self._members]

    @property
    def done(self) -> bool:
        """Whether every process has said its last word. Raises what one ended with."""
        self._check_problems()
        return all(member.last.is_ == "done" for member in self._members)

    @property
    def last_word_us(self) -> int:
        """Wall time at which the last process that has ended did."""
        return max((member.last.at_us for member in self._members if member.last.is_ == "done"), default=0)

    def counts(self) -> SinkCounts:
        """Of all processes, those that died included."""
        with self._lock:
            said = [each for member in self._members for each in (member.last, member.before)]
        acks: Counter[int] = Counter()
        for progress in said:
            acks.update(progress.acks)
        names = ("sent", "acked", "dead_lettered", "deduplicated", "failed", "posts", "retries")
        total = {name: sum(progress.counts.get(name, 0) for progress in said) for name in names}
        problem = next((p.counts["problem"] for p in said if p.counts.get("problem")), "")
        return SinkCounts(
            **total, ack_p50_ms=ack_quantile_ms(acks, 0.5), ack_p99_ms=ack_quantile_ms(acks, 0.99), problem=problem
        )

    # -- One process -------------------------------------------------------------------------------------------------

    def _started(self, place: int) -> subprocess.Popen[bytes]:
        reader, writer = os.pipe()
        running = subprocess.Popen(
            [sys.executable, "-m", "tailrace.producers.process"],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            start_new_session=True,
        )
        os.close(writer)
        given = Assignment(
            spec=self._spec,
            process=place,
            manifest=str(self._manifest or ""),
            report=writer,
            patience_s=self._patience_s,
            settled=self._of(place, self._settled),
            key=self._key,
        )
        _tell(running, given)
        threading.Thread(target=self._listen, args=(place, running, reader), daemon=True).start()
        return running

    def _of(self, place: int, posts: frozenset[int]) -> list[int]:
        return sorted(n for n in posts if slot_of_post(n) % self._spec.processes == place)

    def _listen(self, place: int, running: subprocess.Popen[bytes], reader: int) -> None:
        """Until its end; then, if it had not said its last word, another takes its place."""
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                progress = msgspec.json.decode(line, type=Progress)
                with self._lock:
                    self._members[place].last = progress
        running.wait()
        with self._lock:
            member = self._members[place]
            if member.last.is_ == "done" or member.deaths >= DEATHS_MAX:
                return
            member.deaths += 1
            self.restarts += 1
            try:
                self._replace(member)
            except TailraceError as error:
                member.last = _ended_by(member.last, error)

    def _replace(self, member: _Member) -> None:
        """What was acknowledged is in the manifest; without one, all that was sent is sent again and known again."""
        if self._begun is not None and self._manifest is None:
            problem = Unavailable(
                f"process {member.place} has died, and nobody knows what it had sent",
                hint="keep a manifest: --manifest FILE",
            )
            member.last = _ended_by(member.last, problem)
            return
        if self._begun is not None and self._manifest is not None:
            found = read_manifest(self._manifest)
            self._settled = self._settled | found.acked.keys() | found.refused.keys()
        member.before = _added(member.before, member.last)
        member.last = Progress(is_="going")
        _hang_up(member.running)
        member.running = self._started(member.place)
        if self._begun is not None:
            _tell(member.running, Order(begin=self._begun))
        if self._stop_s is not None:
            _tell(member.running, Order(stop_s=self._stop_s))

    def _order_all(self, order: Order) -> None:
        with self._lock:
            for member in self._members:
                _tell(member.running, order)

    def _check_problems(self) -> None:
        with self._lock:
            for member in self._members:
                if member.last.problem is not None:
                    raise _raised(member.last.problem)
                if member.deaths >= DEATHS_MAX and member.running.poll() is not None:
                    raise Unavailable(
                        f"process {member.place} has died {DEATHS_MAX} times", hint="see what it said above"
                    )


def _tell(running: subprocess.Popen[bytes], what: Assignment | Order) -> None:
    assert running.stdin is not None, "stdin is a pipe"
    try:
        running.stdin.write(msgspec.json.encode(what) + b"\n")
        running.stdin.flush()
    except OSError:
        # It has just died: its successor is told.
        return


def _hang_up(running: subprocess.Popen[bytes]) -> None:
    assert running.stdin is not None, "stdin is a pipe"
    with suppress(OSError):  # what could not be told to one that has died
        running.stdin.close()


def _ended_by(last: Progress, error: TailraceError) -> Progress:
    return msgspec.structs.replace(last, is_="done", problem=error.as_json()["error"])


def _added(one: Progress, other: Progress) -> Progress:
    """What two that were one after the other in a place have said, together. What the first had under way, the next sends anew."""
    counts = {
        name: value + one.counts.get(name, 0)
        for name, value in other.counts.items()
        if isinstance(value, int) and name != "failed"
    }
    counts["sent"] = counts.get("acked", 0)
    acks = dict(Counter(one.acks) + Counter(other.acks))
    return msgspec.structs.replace(other, counts=counts, acks=acks, is_="done")


def _raised(problem: dict[str, str]) -> TailraceError:
    kind = Unavailable if problem["code"] == "unavailable" else Invalid
    return kind(problem["message"], hint=problem["hint"])
