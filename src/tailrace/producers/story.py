"""What goes wrong in the demo's traffic: every five minutes, with quiet in between, logins become slow, profiles fail, one network
tries passwords.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tailrace.producers.addresses import ATTACKERS_NETWORK
from tailrace.producers.feed import Post
from tailrace.producers.lines import Renderer
from tailrace.producers.profile.model import Profile
from tailrace.producers.profile.read import shipped_profile
from tailrace.producers.scenarios.catalog import make_event
from tailrace.producers.scenarios.event import Event
from tailrace.producers.scenarios.timeline import Change, Timeline
from tailrace.producers.spec import pieces
from tailrace.producers.traffic import SLOT_US, Times, Traffic
from tailrace.runtime.clock import Clock

CYCLE_S = 300.0
LATE_US_MAX = 10_000_000
"""A machine that slept does not make up for it: traffic of a time that nobody watched is left out."""
_INCIDENTS = (
    ("slow", 30.0, 80.0, "/login is slow: its database waits for locks"),
    ("outage", 130.0, 175.0, "/profile answers 503: its connection pool is exhausted"),
    ("ddos", 225.0, 260.0, f"{ATTACKERS_NETWORK} tries passwords at /login"),
)


def incidents(profile: Profile) -> tuple[Event, ...]:
    """Of one cycle; they do not overlap."""
    return tuple(
        replace(make_event(name, from_s, to_s, {}, profile), title=title) for name, from_s, to_s, title in _INCIDENTS
    )


def story(*, seed: int, rate: float, start_us: int) -> Traffic:
    """The shop's traffic from `start_us` on, without end."""
    profile = shipped_profile()
    timeline = Timeline((Change(0, rate),), incidents(profile), CYCLE_S)
    return Traffic(profile, timeline, seed=seed, times=Times(start_us, start_us))


def posts(traffic: Traffic, run: str, clock: Clock, *, slots: int | None = None) -> Iterator[Post]:
    """`slots` slots (None: without end), each cut into posts.

    Without an end it follows the clock: after a pause of more than ten seconds it goes on with the present.
    """
    renderer = Renderer(traffic.profile, traffic.statuses, run)
    slot, skipped = 0, 0
    while slots is None or slot < slots:
        late_us = clock.now_us() - traffic.times.due_us(slot + skipped)
        if slots is None and late_us > LATE_US_MAX:
            skipped += late_us // SLOT_US
        yield from slot_posts(traffic, renderer, slot + skipped)
        slot += 1


def slot_posts(traffic: Traffic, renderer: Renderer, slot: int) -> Iterator[Post]:
    due_us = traffic.times.due_us(slot)
    for n, piece in pieces(traffic, slot):
        yield Post(renderer.body(piece, n), len(piece), due_us)
