"""Each `200` follows a completed sync of every byte, and every name, that it stands on."""

from __future__ import annotations

from pathlib import Path

from tailrace.testing.acks import acks_of, unsynced_acks
from tailrace.testing.syscalls import Kind, parse
from tests.durability.ingest import numbered_lines, post_from_threads, traced_ingest

POSTS = 36
THREADS = 6


def test_a_real_ingest_process_under_concurrent_posts(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "trace"
    posts = [numbered_lines(n * 2000, 1500 if n % 9 == 8 else 1 + n % 7) for n in range(POSTS)]
    with traced_ingest(data, output) as ingest:
        answers = post_from_threads(ingest, posts, THREADS)
    assert [answer.status for answer in answers if answer] == [200] * POSTS
    with output.open() as lines:
        events = parse(lines, str(data))
    assert len(list(acks_of(events))) == POSTS
    assert {e.ok for e in events if e.kind is Kind.SYNC} == {True}
    assert unsynced_acks(events, str(data)) == []
