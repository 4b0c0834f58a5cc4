"""A short real life of a data folder, run under strace: posts, retries, dead letters, seals, a turn of files, a split, lake appends,
handovers, compaction of states and of the lake, a restart in the middle. `python -m tests.durability.life FOLDER`.

Each post's acknowledgement is a write to standard output, so that the trace says when it was given.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from tailrace.serving import catalog
from tailrace.stream.base import ProducerStamp
from tests.oracle.rig import Rig

POSTS = 11
FIRST_US = 1_790_000_000_000_000
SHIPPED = "endpoint_health"


@contextmanager
def one_view() -> Iterator[None]:
    """Only one of the shipped views is served: the most that a view can be, at a fraction of the time."""
    listed = [(name, sql) for name, sql in catalog.shipped_views() if name == SHIPPED]
    with patch.object(catalog, "shipped_views", lambda: listed):
        yield


def post_lines(number: int) -> list[bytes]:
    """Post `number`: always the same lines, no two alike, one of them no record. One post is large."""
    return [_line(number, index) for index in range(1100 if number == 4 else 3 + number % 4)]


def _line(number: int, index: int) -> bytes:
    if index == 1:
        return b'{"timestamp":"not a time","post":%d}' % number
    record = {
        "timestamp": (FIRST_US + (number * 31 + index * 7) % 60 * 1_000_000) // 1000,
        "endpoint": f"/e{(number + index) % 4}",
        "response_ms": (number * 1000 + index) % 90_000 / 8,
        "post": number,
        "index": index,
    }
    return json.dumps(record).encode()


def live(folder: Path, posts: Sequence[int] = range(POSTS)) -> None:
    rig = Rig(folder, embedded=True)
    rig.look()
    for number in posts:
        rig.put(post_lines(number), ProducerStamp("life", 1, number))
        os.write(1, b"ACK %d\n" % number)
        rig.clock.advance(9)
        if number % 2:
            rig.seal()
            rig.look()
            rig.read()
        if number % 3 == 2:
            rig.consume()
            rig.cycle()
        if number == 6:
            rig.stream.split(rig.open_shards()[0].id)
        if number == 8:
            rig.compact_lake()
        if number == 7:
            rig.restart()
            rig.look()
    rig.close()


if __name__ == "__main__":
    with one_view():
        live(Path(sys.argv[1]))
