"""A power cut at any moment of a short life: every folder that it may leave is opened, and nothing acknowledged is missing.

`TAILRACE_CRASH_SEED` makes other choices, `TAILRACE_CRASH_SHARE` tries more of the states (1: all that are chosen, minutes).
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tailrace.config.settings import StreamSettings
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.embedded import open_embedded
from tailrace.stream.base import ProducerStamp, StreamBackend
from tailrace.testing.contracts.stream_samples import read_blocks
from tailrace.testing.crashes import Image, moments
from tailrace.testing.disk import Disk, write_image
from tailrace.testing.syscalls import Event, Kind
from tests.durability.life import POSTS, SHIPPED, one_view, post_lines
from tests.durability.tracing import traced
from tests.oracle.model import ENDPOINT_HEALTH, expected_rows, parse_all
from tests.oracle.rig import SHARDS, Rig

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("TAILRACE_CRASH_SEED", "3"))
SHARE = float(os.environ.get("TAILRACE_CRASH_SHARE", "0"))
STREAMS = 160
NODES = 5
"""How many states are opened, about: of the stream alone, and of the whole node."""
TYPICAL = 14
"""Choices of a moment."""
LINES = {line: number for number in range(POSTS) for line in post_lines(number)}


@dataclass(frozen=True)
class Life:
    events: list[Event]
    root: str


@dataclass(frozen=True)
class State:
    """What a power cut left. `acked`: posts acknowledged by then; `sent`: posts that had been sent."""

    place: str
    image: Image
    acked: int
    sent: int


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")
    root = folder / "data"
    root.mkdir()
    return Life(traced(folder / "trace", [sys.executable, "-m", "tests.durability.life", str(root)], root), str(root))


def states(life: Life, part: str, count: int) -> Iterator[State]:
    """About `count` states, evenly over the syncs of what begins with `part` (all: the empty text); none twice."""
    syncs = [e.kind is Kind.SYNC and e.path.startswith(f"{life.root}/{part}") for e in life.events]
    ends = [e.began for e in life.events if e.kind is Kind.SEND and e.data.startswith(b"ACK")]
    chance, picks = random.Random(SEED), random.Random(SEED + 1)
    share = max(SHARE, count / sum(syncs) / TYPICAL)
    seen: set[tuple[int, bytes]] = set()
    for moment in moments(life.events, life.root, chance.random):
        last = moment.before == len(life.events)
        now = sys.maxsize if last else life.events[moment.before].ended
        acked = sum(1 for end in ends if end < now)
        for number, choice in enumerate(moment.choices):
            if not last and (not syncs[moment.before] or picks.random() >= share):
                continue
            image = {p: data for p, data in choice(part).items() if not p.startswith("views")}
            if (key := (acked, digest(image))) not in seen:
                seen.add(key)
                yield State(f"before event {moment.before}, choice {number}", image, acked, min(acked + 1, POSTS))


def digest(image: Image) -> bytes:
    """Of all but the maps that SQLite makes anew."""
    found = hashlib.sha1(usedforsecurity=False)
    for path, data in image.items():
        if not path.endswith("-shm"):
            found.update(b"%b\0%d\0%b" % (path.encode(), -1 if data is None else len(data), data or b""))
    return found.digest()


def held_lines(stream: StreamBackend) -> list[bytes]:
    return [
        raw["raw"]
        for shard in stream.shards()
        for block in read_blocks(stream, shard.id)
        for raw in block.raw.to_pylist()
    ]


def assert_nothing_lost_doubled_or_invented(state: State, held: list[bytes]) -> None:
    counts = Counter(held)
    assert set(counts.values()) <= {1}, f"{state.place}: doubled"
    numbers = [LINES[line] for line in counts]
    assert all(number < state.sent for number in numbers), f"{state.place}: not sent yet"
    missing = {n for line, n in LINES.items() if n < state.acked and line not in counts}
    assert not missing, f"{state.place}: acknowledged and gone: posts {sorted(missing)}"


def test_the_rebuilt_disk_is_the_real_one(life: Life) -> None:
    disk = Disk(life.root)
    for event in life.events:
        disk.feed(event)
    real = {
        str(p.relative_to(life.root)): None if p.is_dir() else p.read_bytes()
        for p in Path(life.root).rglob("*")
        if not p.name.endswith("-shm")
    }
    assert {p: data for p, data in disk.full().items() if not p.endswith("-shm")} == real


def test_every_stream_that_a_power_cut_leaves_holds_what_was_acknowledged(life: Life, tmp_path: Path) -> None:
    settings = StreamSettings(shards=SHARDS, file_interval_s=60)
    opened = 0
    for n, state in enumerate(states(life, "stream", STREAMS)):
        folder = tmp_path / str(n)
        write_image(state.image, folder)
        stream = open_embedded(folder / "stream", settings, DEFAULT_FIELDS, ManualClock())
        assert_nothing_lost_doubled_or_invented(state, held_lines(stream))
        stream.close()
        opened += 1
    assert opened > STREAMS / 2


def test_every_node_that_a_power_cut_leaves_recovers(life: Life, tmp_path: Path) -> None:
    opened = 0
    with one_view():
        for n, state in enumerate(states(life, "", NODES)):
            write_image(state.image, tmp_path / str(n))
            recover(state, tmp_path / str(n))
            opened += 1
    assert opened > NODES / 2


def recover(state: State, folder: Path) -> None:
    """Open it; look at once, after a whole handover, and after every post has been sent again under its stamp."""
    rig = Rig(folder, embedded=True)
    rig.look()
    rig.read()
    for settled in (False, True):
        if settled:
            rig.settle()
        held = held_lines(rig.stream)
        assert_nothing_lost_doubled_or_invented(state, held)
        rig.check()
        if settled or rig.pinned.views:
            assert rig.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(held)), state.place
    for number in range(POSTS):
        rig.put(post_lines(number), ProducerStamp("life", 1, number))
    rig.settle()
    rig.check()
    assert Counter(held_lines(rig.stream)) == Counter(LINES.keys()), state.place
    assert rig.rows(SHIPPED)[1] == expected_rows(ENDPOINT_HEALTH, parse_all(LINES)), state.place
    rig.close()
