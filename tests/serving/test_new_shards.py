"""A query after a split holds what the new shards were given before it was asked, though no step has seen them yet."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from tailrace.serving.merge import ViewQuery
from tests.oracle.rig import Rig

LINE = json.dumps({"timestamp": 1_795_341_600_000, "endpoint": "/a", "status": 200}).encode()


def requests(rig: Rig) -> int:
    columns, rows = rig.rows("overall_health", ViewQuery(total=True))
    return sum(row[columns.index("requests")] for row in rows)


def test_lines_of_a_shard_that_is_a_moment_old_are_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.put([LINE])
    rig.look()
    rig.settle()
    stop = threading.Event()
    follower = threading.Thread(target=rig.follower.run, args=(stop,))
    follower.start()
    try:
        for count in range(1, 8):
            assert requests(rig) == count
            owner = next(s for s in rig.open_shards() if rig.stream.end(s.id).next_offset)
            rig.stream.split(owner.id)
            rig.put([LINE])
    finally:
        stop.set()
        follower.join()
        rig.close()
