"""A run as a whole: its plan, its manifest, its processes, and what it is told while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import msgspec

from tailrace import __version__
from tailrace.errors import Invalid
from tailrace.model.window import duration_us, iso
from tailrace.producers.fleet import Fleet
from tailrace.producers.manifest import FORMAT, Begin, End, Label, ManifestWriter, Rate
from tailrace.producers.scenarios.catalog import SCENARIOS, make_event
from tailrace.producers.scenarios.event import Event
from tailrace.producers.scenarios.timeline import Change
from tailrace.producers.spec import RATE_MAX, RunSpec
from tailrace.producers.tally import SinkCounts
from tailrace.producers.traffic import SLOT_US, Times, status_codes
from tailrace.runtime.clock import Clock

START_US = 200_000
"""Slot 0 begins so long after all processes are ready."""
NOTICE_SLOTS = 12
"""An order holds for slots that nobody has made yet."""
SYNC_S = 1.0
WORDS = ("rate", "pause", "resume", "scenario", "status", "stop")


class Conductor:
    """A context manager. `begin` first; then `step` now and then until it says that all is done."""

    def __init__(
        self,
        spec: RunSpec,
        clock: Clock,
        manifest: Path | None,
        ledger: dict[str, int] | None,
        patience_s: float,
        key: str = "",
    ) -> None:
        """`ledger`: of the node that is sent to, as it is now. `key`: what that node is shown. `patience_s`: see Fleet."""
        self._clock, self._ledger = clock, ledger
        self._writer = ManifestWriter(manifest, fresh=True) if manifest is not None else None
        self._lock = threading.Lock()
        self._paused_rate: float | None = None
        self._synced_s = 0.0
        self.stopping = False
        self.fleet = Fleet(spec, clock, manifest=manifest, patience_s=patience_s, key=key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.fleet.__exit__()
        if self._writer is not None:
            self._writer.close()

    @property
    def spec(self) -> RunSpec:
        return self.fleet.spec

    def begin(self, since_us: int = 0) -> None:
        """`since_us`: event time begins so long before now."""
        self.fleet.wait_ready()
        start_us = self._clock.now_us() + START_US
        times = Times(start_us, start_us - since_us, self.spec.times.speed)
        spec = msgspec.structs.replace(self.spec, times=times)
        statuses = [int(code) for code in status_codes(spec.profile)]
        self._write(Begin(FORMAT, __version__, iso(start_us), spec, statuses, self._ledger))
        for event in spec.timeline.events:
            self._label(event, times)
        self.fleet.begin(times)

    def step(self) -> bool:
        """Whether all is sent and answered. Syncs the manifest once a second."""
        now_s = self._clock.monotonic_s()
        if self._writer is not None and now_s - self._synced_s >= SYNC_S:
            self._synced_s = now_s
            self._writer.sync()
        return self.fleet.done

    def stop(self, patience_s: float) -> None:
        """Make nothing more; wait so long for what is on the way."""
        self.stopping = True
        self.fleet.stop(patience_s)

    def end(self, *, whole: bool) -> tuple[SinkCounts, float]:
        """The last line of the manifest; what became of all lines, and the seconds it took."""
        counts = self.fleet.counts()
        seconds = max((self.fleet.last_word_us - self.spec.times.start_us) / 1e6, 0.001)
        self._write(End(iso(self._clock.now_us()), round(seconds, 3), counts.sent, counts.acked, counts.retries, whole))
        if self._writer is not None:
            self._writer.sync()
        return counts, seconds

    @property
    def elapsed_s(self) -> float:
        """Since slot 0 began."""
        return (self._clock.now_us() - self.spec.times.start_us) / 1e6

    def situation(self) -> str:
        """What is going wrong now, for people."""
        elapsed_s = self.elapsed_s * self.spec.times.speed
        return "; ".join(event.title for _, event, _ in self.spec.timeline.active(elapsed_s))

    # -- Orders ------------------------------------------------------------------------------------------------------

    def obey(self, words: Mapping[str, str]) -> dict[str, Any]:
        """`rate`, `pause`, `resume`, `scenario` with `for` and its parameters, `status`, `stop`. Raises Invalid.

        Returns how the run stands. What changes traffic holds from a slot a second ahead, and is in the manifest.
        """
        with self._lock:
            rest = dict(words)
            slot = max(0, int(self.elapsed_s * 1e6) // SLOT_US) + NOTICE_SLOTS
            if "scenario" in rest:
                self._add_event(rest.pop("scenario"), rest, slot)
                return self.state()
            unknown = [word for word in rest if word not in WORDS]
            if unknown or not rest:
                raise Invalid(
                    f"`{unknown[0]}` is no order" if unknown else "there is no order",
                    hint=f"use {', '.join(WORDS)}: rate=50000, pause, resume, scenario=slow for=30s endpoint=/login",
                )
            if "rate" in rest:
                self._change_rate(slot, _rate(rest["rate"]))
            if "pause" in rest and self._paused_rate is None:
                self._paused_rate = self.spec.timeline.changes[-1].rate
                self._change_rate(slot, 0.0)
            if "resume" in rest and self._paused_rate is not None:
                rate, self._paused_rate = self._paused_rate, None
                self._change_rate(slot, rate)
            if "stop" in rest:
                self.stopping = True
        return self.state()

    def state(self) -> dict[str, Any]:
        timeline = self.spec.timeline
        return {
            "run": self.spec.run,
            "target": self.spec.target,
            "rate": timeline.changes[-1].rate,
            "paused": self._paused_rate is not None,
            "elapsed_s": round(self.elapsed_s, 1),
            "duration_s": self.spec.duration_s,
            "situation": self.situation(),
            **asdict(self.fleet.counts()),
        }

    def _change_rate(self, slot: int, rate: float) -> None:
        if self._paused_rate is not None and rate:
            self._paused_rate = rate
            return
        self._write(Rate(slot, rate))
        self.fleet.follow(self.spec.timeline.with_change(Change(slot, rate)))

    def _add_event(self, name: str, rest: dict[str, str], slot: int) -> None:
        from_s = self.spec.times.elapsed_s(slot)
        length_s = duration_us(rest.pop("for", "1m")) / 1e6
        event = make_event(name, from_s, from_s + length_s, rest, self.spec.profile)
        self._label(event, self.spec.times)
        self.fleet.follow(self.spec.timeline.with_event(event))

    def _label(self, event: Event, times: Times) -> None:
        at = [times.event_us + round(seconds * 1e6) for seconds in (event.from_s, event.to_s)]
        struck = [self.spec.profile.endpoints[place].path for place in event.endpoints]
        parameters = dict(event.parameters)
        self._write(Label(event.scenario, iso(at[0]), iso(at[1]), struck, parameters, SCENARIOS[event.scenario].about))

    def _write(self, record: Begin | Label | Rate | End) -> None:
        if self._writer is not None:
            self._writer.write(record)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 < rate <= RATE_MAX:
        raise Invalid(
            f"rate `{text}` is not possible", hint=f"write lines a second, more than 0 and at most {RATE_MAX:,}"
        )
    return rate
