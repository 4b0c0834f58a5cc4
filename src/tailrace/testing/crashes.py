"""The folders that a power cut could have left at any moment of a trace: a bounded choice of them, by a seed.

Between two syncs the set of what is not certain only grows, so the moments just before a sync ends hold all others, as subsets.
At each, the choice is: nothing of what is not certain; all of it; names without bytes and bytes without names; each of the newest
changes left out alone, there alone, or torn at a sector; and subsets by chance, some of them torn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tailrace.testing.disk import Change, Disk, Naming, Node
from tailrace.testing.syscalls import Event, Kind

Image = dict[str, bytes | None]
Choice = Callable[[str], Image]
"""Makes the image of what begins with a text (all: the empty one)."""
Chance = Callable[[], float]
"""The next number in [0, 1) of a seeded sequence."""
NEWEST = 4
BY_CHANCE = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """`before`: the index of the event that the power cut forestalled. `choices`: what may be left then."""

    before: int
    choices: list[Choice]


def moments(events: Sequence[Event], root: str, chance: Chance) -> Iterator[Moment]:
    """Just before each sync ended, and after the last event. Use a moment's choices before the next moment is asked for."""
    disk = Disk(root)
    for index, event in enumerate(events):
        if event.kind is Kind.SYNC:
            yield Moment(index, choices(disk, chance))
        disk.feed(event)
    yield Moment(len(events), choices(disk, chance))


def choices(disk: Disk, chance: Chance) -> list[Choice]:
    changes = disk.pending()
    names = disk.namings
    found = [_choice(disk, (), ()), _choice(disk, changes, names), _choice(disk, changes, ()), _choice(disk, (), names)]
    for node, change in changes[-NEWEST:]:
        found.append(_choice(disk, [(n, c) for n, c in changes if c is not change], names))
        found.append(_choice(disk, [(node, change)], names))
        if change.sectors > 1:
            torn = change.torn(1 + int(chance() * (change.sectors - 1)))
            found.append(_choice(disk, [(n, torn if c is change else c) for n, c in changes], names))
    return found + [by_chance(disk, chance) for _ in range(BY_CHANCE)]


def by_chance(disk: Disk, chance: Chance) -> Choice:
    """Some of the changes, some torn; some of the names."""
    share = chance()
    kept: list[tuple[Node, Change]] = []
    for node, change in disk.pending():
        if chance() < share:
            torn = change.sectors > 1 and chance() < 0.3
            kept.append((node, change.torn(int(chance() * change.sectors)) if torn else change))
    share = chance()
    return _choice(disk, kept, [naming for naming in disk.namings if chance() < share])


def _choice(disk: Disk, changes: Iterable[tuple[Node, Change]], names: Iterable[Naming]) -> Choice:
    kept: dict[Node, list[Change]] = {}
    for node, change in changes:
        kept.setdefault(node, []).append(change)
    listed = list(names)
    return lambda part: disk.image(kept, listed, part)
