"""A whole node of real processes: it lives through the death of any of them, ends in order, and goes on with what it had."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.pipeline.lock import is_alive
from tailrace.runtime.clock import SystemClock
from tailrace.testing.node import RunningNode, descendants

pytestmark = pytest.mark.slow
CLOCK = SystemClock()


def lines(first: int, count: int) -> bytes:
    return b"".join(
        b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/a","status":200,"message":"%d"}\n' % n
        for n in range(first, first + count)
    )


def requests(node: RunningNode) -> int:
    answer = node.view("overall_health")
    at = answer["columns"].index("requests")
    return sum(row[at] for row in answer["rows"])


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline_s = CLOCK.monotonic_s() + 60
    while not holds():
        assert CLOCK.monotonic_s() < deadline_s, f"never came: {what}"
        CLOCK.sleep(0.05)


def stored(node: RunningNode, count: int) -> Callable[[], bool]:
    return lambda: requests(node) == count


@pytest.mark.kill
def test_a_node_outlives_each_of_its_processes_and_itself(tmp_path: Path) -> None:
    """One node for the whole story, since each start costs seconds."""
    node = RunningNode(tmp_path / "data")
    node.start()
    try:
        assert {role: len(pids) for role, pids in node.pids().items()} == {
            "ingest": min(2, os.cpu_count() or 2),
            "node": 1,
            "batch": 1,
            "query": 1,
        }
        assert node.post_logs(lines(0, 10)).status == 200
        eventually(stored(node, 10), "the first lines")

        before = node.pids()
        for role in before:
            os.kill(before[role][0], signal.SIGKILL)
        eventually(lambda: set(before) == set(node.pids()) and _all_new(before, node.pids()), "new processes")
        node.wait_ready()
        eventually(stored(node, 10), "the first lines again")
        assert post_until_taken(node, lines(10, 10), "p;1;0") == 200
        eventually(stored(node, 20), "lines after the deaths")

        os.kill(node.pid, signal.SIGTERM)
        eventually(lambda: not is_alive(node.pid), "the end")
        assert node.stop() == 0
        ended = [pid for pids in node.pids().values() for pid in pids]
        assert ended == []
        assert not (tmp_path / "data" / "run" / "tailrace.json").exists()
        assert "ended in" in node.log_end(5)

        node.start()
        eventually(stored(node, 20), "the lines of the life before")
        pids = descendants(node.pid)
        os.kill(node.pid, signal.SIGKILL)
        eventually(lambda: not is_alive(node.pid), "the kill")
        assert node.stop() == -signal.SIGKILL
        # At once, while the children of the killed one are still ending, and answer for a moment.
        node.start()
        eventually(lambda: not any(is_alive(pid) for pid in pids), "the end of the killed one's children")
        node.wait_ready()
        eventually(stored(node, 20), "the lines of the killed life")

        eventually(lambda: len(node.pids()) == 4, "all processes")
        (batch,), (web,) = node.pids()["batch"], node.pids()["node"]
        os.kill(batch, signal.SIGSTOP)
        os.kill(node.pid, signal.SIGINT)
        eventually(lambda: not is_alive(web), "the end of the node process, but for batch, which cannot end")
        os.kill(node.pid, signal.SIGINT)
        eventually(lambda: not is_alive(node.pid), "the end by a second interrupt")
        assert node.stop() == 0
        assert not is_alive(batch)
    finally:
        node.kill_all()


def _all_new(before: dict[str, list[int]], now: dict[str, list[int]]) -> bool:
    return all(before[role][0] not in now[role] and len(now[role]) == len(before[role]) for role in before)


def post_until_taken(node: RunningNode, body: bytes, stamp: str) -> int:
    """A connection may meet the moment in which its process died."""
    while True:
        try:
            return node.post_logs(body, stamp=stamp).status
        except OSError:
            CLOCK.sleep(0.05)


def test_settings_that_a_process_cannot_use_end_the_node_with_2(tmp_path: Path) -> None:
    """The shipped views count by a number; a node whose settings make it a text must not start, nor start again and again."""
    config = tmp_path / "tailrace.toml"
    config.write_text('[[fields]]\nname = "status"\ntype = "text"\n')
    node = RunningNode(tmp_path / "data", config=config)
    node.start(wait=False)
    try:
        eventually(lambda: not is_alive(node.pid), "the end")
        assert node.stop() == 2
        assert "the shipped view `" in node.log_end()
        assert "other names" in " ".join(node.log_end().split())
    finally:
        node.kill_all()
