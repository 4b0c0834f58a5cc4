"""What a run is to make, whole: enough for any process, and for anybody later, to make the same posts again."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import msgspec

from tailrace.producers.draft import Draft
from tailrace.producers.profile.model import Profile
from tailrace.producers.scenarios.timeline import Timeline
from tailrace.producers.traffic import SLOT_US, Times, Traffic

LINES_A_POST_MAX = 10_000
PARTS = 1_024
"""Posts that a slot may be cut into: post number = slot x PARTS + part."""
RATE_MAX = 1_000_000
"""Lines a second; a rush and an attack may multiply it by a hundred before a slot has more posts than PARTS."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`run`: 8 hex digits, in every line's trace id. `slots`: so many of 100 ms. `connections`: of each process."""

    run: str
    seed: int
    target: str
    profile: Profile
    timeline: Timeline
    times: Times
    slots: int
    shaped: bool = False
    processes: int = 1
    connections: int = 2
    encoding: str = "none"
    endpoint_url: str = ""

    @property
    def producer(self) -> str:
        """The id in the stamp of each post: the same for all processes, as post numbers are."""
        return f"tailrace-produce-{self.run}"

    @property
    def duration_s(self) -> float:
        return self.slots * SLOT_US / 1e6

    def traffic(self) -> Traffic:
        return Traffic(self.profile, self.timeline, seed=self.seed, times=self.times, shaped=self.shaped)


def pieces(traffic: Traffic, slot: int, known: AbstractSet[int] = frozenset()) -> Iterator[tuple[int, Draft]]:
    """(number, requests) of each post that a slot is cut into, but for those that are `known`: if all are, nothing is made."""
    parts = range(-(-traffic.lines_in(slot) // LINES_A_POST_MAX))
    wanted = [part for part in parts if post_number(slot, part) not in known]
    if not wanted:
        return
    draft = traffic.requests(slot)
    for part in wanted:
        yield post_number(slot, part), draft.part(part * LINES_A_POST_MAX, (part + 1) * LINES_A_POST_MAX)


def post_number(slot: int, part: int) -> int:
    return slot * PARTS + part


def slot_of_post(n: int) -> int:
    return n // PARTS
