"""When which event happens, and at what rate requests come: from a name, from a TOML file, and changed while a run goes on."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailrace.errors import Invalid
from tailrace.model.window import duration_us
from tailrace.producers.near_names import near
from tailrace.producers.profile.model import Profile
from tailrace.producers.scenarios.catalog import SCENARIOS, STEADY, make_event
from tailrace.producers.scenarios.event import Event

EVENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """From slot `slot` on, requests come at `rate` a second."""

    slot: int
    rate: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """`changes`: at least one, that of slot 0; ascending. `cycle_s`: the events come again after so many seconds; 0: they do not."""

    changes: tuple[Change, ...]
    events: tuple[Event, ...] = ()
    cycle_s: float = 0.0

    def change_at(self, slot: int) -> Change:
        """The one that holds for a slot."""
        return next(change for change in reversed(self.changes) if change.slot <= slot)

    def within(self, elapsed_s: float) -> float:
        """Seconds of the cycle."""
        return elapsed_s % self.cycle_s if self.cycle_s else elapsed_s

    def active(self, elapsed_s: float) -> list[tuple[int, Event, float]]:
        """(its number, event, intensity) of those that are on, in their order."""
        at_s = self.within(elapsed_s)
        found = ((number, event, event.intensity(at_s)) for number, event in enumerate(self.events))
        return [each for each in found if each[2] > 0]

    def with_change(self, change: Change) -> Timeline:
        """Changes come in the order of their slots."""
        return replace(self, changes=(*(c for c in self.changes if c.slot < change.slot), change))

    def with_event(self, event: Event) -> Timeline:
        return replace(self, events=(*self.events, event))


def events_of(asked: str, duration_s: float, profile: Profile) -> tuple[Event, ...]:
    """Of a scenario's name, or of a timeline's file. `duration_s`: of the run, in event time. Raises Invalid for what is neither."""
    if asked.endswith(".toml") or "/" in asked:
        return read_events(Path(asked), duration_s, profile)
    scenario = SCENARIOS.get(asked)
    if scenario is None:
        names = near(asked, tuple(SCENARIOS))
        raise Invalid(f"there is no scenario `{asked}`", hint=f"{names}; or name a file that ends in .toml")
    if asked == STEADY:
        return ()
    span = (0.0, duration_s) if scenario.whole else (duration_s / 3, duration_s * 2 / 3)
    return (make_event(asked, *span, {}, profile),)


def read_events(path: Path, duration_s: float, profile: Profile) -> tuple[Event, ...]:
    """`[[event]] at, for, scenario` and the scenario's parameters."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(
            f"timeline `{path}` cannot be read: {error}",
            hint='write [[event]] at = "30s", for = "1m", scenario = "slow", or name a scenario',
        ) from error
    listed = content.get("event")
    if set(content) != {"event"} or not isinstance(listed, list) or not 1 <= len(listed) <= EVENTS_MAX:
        raise Invalid(
            f"`{path}` is no timeline",
            hint=f"it has 1 to {EVENTS_MAX:,} of: [[event]] at, for, scenario; and nothing else",
        )
    return tuple(_event(each, n + 1, path, duration_s, profile) for n, each in enumerate(listed))


def _event(content: Any, number: int, path: Path, duration_s: float, profile: Profile) -> Event:
    try:
        if not isinstance(content, dict) or not isinstance(content.get("scenario"), str):
            raise Invalid("has no `scenario`", hint=f"one of: {', '.join(SCENARIOS)}")
        rest = {name: value for name, value in content.items() if name not in ("at", "for", "scenario")}
        from_s = duration_us(str(content.get("at", "0s"))) / 1e6
        length_s = duration_us(str(content["for"])) / 1e6 if "for" in content else duration_s - from_s
        if from_s >= duration_s or length_s <= 0:
            raise Invalid(f"begins at {from_s:g} s and the run ends at {duration_s:g} s", hint="make it begin before")
        return make_event(content["scenario"], from_s, from_s + length_s, rest, profile)
    except Invalid as error:
        raise Invalid(f"`{path}`, event {number}: {error.message}", hint=error.hint) from error
