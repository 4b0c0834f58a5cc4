"""Judges the rules in the node, window by window, and keeps their states. A thread of its own; nothing it does can stop the node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from tailrace.alerts.alert import Alert, alert_of, unit_of
from tailrace.alerts.frame import Frame, Grid, Key
from tailrace.alerts.replay import bounded, progress
from tailrace.alerts.rule import Rule
from tailrace.alerts.rule_files import RuleFolder
from tailrace.alerts.sources import Sources
from tailrace.alerts.state import Change, Instance, Status
from tailrace.alerts.store import AlertStore, Entry, Held, RuleState
from tailrace.alerts.template import number_text
from tailrace.errors import TailraceError, Unavailable
from tailrace.runtime.clock import Clock

LOG = logging.getLogger(__name__)
TICK_S = 1.0
CATCH_UP_US = 3_600_000_000
"""Windows that were missed are judged in their order; those longer ago are not judged any more."""
CLOCK_STEP_US = 60_000_000
"""A rule that is judged further ahead of now than this was judged under a clock that has been set back."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a rule cannot be judged; its states stay as they are."""

    message: str
    hint: str
    since_us: int


class Engine:
    """`run` and `tick` are called by one thread; all else by any."""

    def __init__(self, folder: RuleFolder, sources: Sources, store: AlertStore, clock: Clock) -> None:
        self.folder = folder
        self.sources = sources
        self.store = store
        self.problems: dict[str, Problem] = {}
        self._clock = clock
        self._held: dict[str, Held] | None = None
        self._frames: dict[str, tuple[str, Frame]] = {}
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        told = ""
        while not stop.is_set():
            try:
                self.tick()
                told = ""
            except TailraceError as error:
                if told != error.message and not isinstance(error, Unavailable):
                    LOG.warning("alerts stand still: %s (%s)", error.message, error.hint)
                told = error.message
            except Exception:
                LOG.exception("alerts failed; they are tried again")
                stop.wait(10 * TICK_S)
            stop.wait(TICK_S)

    def tick(self) -> int:
        """Judge what is due; returns how many rules were."""
        if self._held is None:
            self._held = self.store.load()
        self.folder.look()
        self.sources.pinned()
        self._drop_gone(self._held)
        due = self._due(self._held)
        frames = self.sources.frames({name: self._wanted(rule, end) for name, (rule, end) in due.items()})
        saved: dict[str, Held] = {}
        entries: list[Entry] = []
        for name, (rule, end_us) in due.items():
            try:
                frame = frames[name]
                if isinstance(frame, TailraceError):
                    raise frame
                saved[name], new = self._judged(rule, frame, end_us)
            except TailraceError as error:
                self._trouble(name, error)
                continue
            self.problems.pop(name, None)
            entries += new
        if saved:
            self.store.save(saved, entries)
            with self._lock:
                self._held |= saved
        return len(saved)

    def alerts(self) -> list[Alert]:
        """Those that are not ok, and those that flap."""
        now_us = self._clock.now_us()
        with self._lock:
            held = {name: replace(each, instances=dict(each.instances)) for name, each in (self._held or {}).items()}
        found = []
        for name, each in sorted(held.items()):
            rule = self.folder.book.rules.get(name)
            if rule is None or not rule.enabled:
                continue
            for key, instance in each.instances.items():
                alert = alert_of(rule, each.state.names, key, instance, now_us)
                if instance.is_active or alert.flapping:
                    found.append(alert)
        return found

    def states(self) -> Mapping[str, RuleState]:
        with self._lock:
            return {name: held.state for name, held in (self._held or {}).items()}

    @property
    def is_ready(self) -> bool:
        """The states of before a restart are known."""
        return self._held is not None

    # -- a tick --------------------------------------------------------------------------------------------------

    def _due(self, held: Mapping[str, Held]) -> dict[str, tuple[Rule, int]]:
        found: dict[str, tuple[Rule, int]] = {}
        for name, rule in self.folder.book.rules.items():
            if not rule.enabled:
                continue
            try:
                complete_us = self.sources.complete_us(rule)
                if complete_us is None:
                    continue
                step_us = self.sources.step_us(rule)
            except TailraceError as error:
                self._trouble(name, error)
                continue
            end_us = (complete_us - rule.delay_us) // step_us * step_us
            judged_us = held[name].state.judged_us if name in held else None
            if judged_us is not None and judged_us - CLOCK_STEP_US > self._clock.now_us():
                held[name].state = msgspec.structs.replace(held[name].state, judged_us=end_us - step_us)
                judged_us = end_us - step_us
            if judged_us is None or end_us > judged_us:
                found[name] = (rule, end_us)
        return found

    def _wanted(self, rule: Rule, end_us: int) -> tuple[Rule, Grid]:
        """The windows that are new, and before them those that they are compared with, unless these are still known."""
        step_us = self.sources.step_us(rule)
        after_us = self._after_us(rule, end_us, step_us)
        known = self._frames.get(rule.name)
        if known is not None and known[0] == rule.version and known[1].grid.last_us == after_us:
            return rule, Grid(after_us + step_us, end_us, step_us, rule.over_us)
        self._frames.pop(rule.name, None)
        before_us = -(-rule.before_us() // step_us) * step_us
        return rule, Grid(after_us + step_us - before_us, end_us, step_us, rule.over_us)

    def _after_us(self, rule: Rule, end_us: int, step_us: int) -> int:
        held = (self._held or {}).get(rule.name)
        if held is None:
            return end_us - step_us
        return max(held.state.judged_us // step_us * step_us, (end_us - CATCH_UP_US) // step_us * step_us)

    def _judged(self, rule: Rule, fresh: Frame, end_us: int) -> tuple[Held, list[Entry]]:
        held = (self._held or {}).get(rule.name)
        known = self._frames.get(rule.name)
        frame = known[1].joined(fresh) if known is not None else fresh
        after_us = self._after_us(rule, end_us, frame.grid.step_us)
        before = held.instances if held else {}
        entries: list[Entry] = []
        if held is not None and held.state.names != frame.names and before:
            entries += _closed(rule.name, rule, held, after_us, "the rule's keys have changed")
            before = {}
        instances, changes = progress(rule, frame, before, after_us)
        instances, changes, left_out = bounded(rule, before, instances, changes)
        entries += [_entry(rule, frame.names, key, change) for key, change in changes]
        self._remember(rule, frame, end_us)
        state = RuleState(version=rule.version, judged_us=end_us, names=frame.names, left_out=left_out)
        return Held(state, instances), entries

    def _remember(self, rule: Rule, frame: Frame, end_us: int) -> None:
        """What the next window is compared with. A rule that compares with nothing remembers nothing."""
        if rule.before_us():
            self._frames[rule.name] = (rule.version, frame.after(end_us - rule.before_us()))

    def _drop_gone(self, held: dict[str, Held]) -> None:
        rules = self.folder.book.rules
        broken = {problem.name for problem in self.folder.book.problems}
        gone = [n for n in held if (n not in rules and n not in broken) or (n in rules and not rules[n].enabled)]
        if not gone:
            return
        entries: list[Entry] = []
        for name in gone:
            rule = rules.get(name)
            reason = "the rule is switched off" if rule else "the rule is gone"
            entries += _closed(name, rule, held[name], self._clock.now_us(), reason)
        self.store.save({}, entries, gone)
        for name in gone:
            with self._lock:
                del held[name]
            self._frames.pop(name, None)
            self.problems.pop(name, None)

    def _trouble(self, name: str, error: TailraceError) -> None:
        known = self.problems.get(name)
        if known is None or known.message != error.message:
            LOG.warning("rule %s cannot be judged: %s (%s)", name, error.message, error.hint)
            self.problems[name] = Problem(error.message, error.hint, self._clock.now_us())


def _entry(rule: Rule, names: Iterable[str], key: Key, change: Change) -> Entry:
    return Entry(
        rule=rule.name,
        key=dict(zip(names, key, strict=True)),
        change=change,
        title=rule.title,
        value_text=number_text(change.value, unit_of(rule)),
    )


def _closed(name: str, rule: Rule | None, held: Held, at_us: int, reason: str) -> list[Entry]:
    """The end of each active instance, for a reason that no window gives."""
    return [
        Entry(
            rule=name,
            key=dict(zip(held.state.names, key, strict=True)),
            change=_ended(instance, at_us),
            title=rule.title if rule else name,
            reason=reason,
        )
        for key, instance in held.instances.items()
        if instance.is_active
    ]


def _ended(instance: Instance, at_us: int) -> Change:
    return Change(at_us=at_us, before=instance.status, after=Status.OK, value=None, fired_us=instance.fired_us)
