"""A disk that fails: no answer 200 stands on a sync that failed, before or after a restart, and all is well once the disk is.

The failures are injected by strace into a real ingest process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from tailrace.access.store import AccessStore
from tailrace.config.settings import StreamSettings
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.embedded import open_embedded
from tailrace.testing.acks import acks_of, unsynced_acks
from tailrace.testing.contracts.stream_samples import read_blocks
from tailrace.testing.syscalls import Event, Kind, parse
from tests.durability.ingest import Answer, Ingest, numbered_lines, traced_ingest

POSTS = [numbered_lines(n * 10, 3) for n in range(40)]


def events_of(data: Path, *traces: Path) -> list[Event]:
    """One list for processes that ran one after the other."""
    return parse(chain.from_iterable(trace.read_text().splitlines() for trace in traces), str(data))


def post_all(ingest: Ingest, numbers: Sequence[int]) -> dict[int, Answer]:
    return {n: ingest.post(POSTS[n], f"p;1;{n}") for n in numbers}


def fresh(tmp_path: Path) -> Path:
    """A data folder whose stream has been made, and its first events; and, as the supervisor makes it, the file of users and keys."""
    data = tmp_path / "data"
    AccessStore(data / "access.db").make()
    with traced_ingest(data, tmp_path / "made"):
        pass
    return data


def held(data: Path) -> Counter[bytes]:
    stream = open_embedded(data / "stream" / "logs", StreamSettings(), DEFAULT_FIELDS, SystemClock(), read_only=True)
    blocks = [block for shard in stream.shards() for block in read_blocks(stream, shard.id)]
    stream.close()
    return Counter(raw["raw"] for block in blocks for raw in block.raw.to_pylist())


def assert_refused_rightly(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.body["error"]["code"] == "unavailable"
    assert "Tailrace-Producer" in answer.body["error"]["hint"]


def assert_holds(data: Path, answers: dict[int, Answer]) -> None:
    """Each acknowledged line once; a line of a refused post once or not at all."""
    found = held(data)
    assert set(found.values()) == {1}
    for n, answer in answers.items():
        if answer.status == 200:
            assert all(found[line] == 1 for line in POSTS[n]), f"post {n} was acknowledged and is gone"


def test_one_failed_sync_refuses_one_post_and_no_answer_stands_on_it(tmp_path: Path) -> None:
    data, trace = fresh(tmp_path), tmp_path / "trace"
    with traced_ingest(data, trace, "-e", "inject=fdatasync:error=EIO:when=6") as ingest:
        answers = post_all(ingest, range(12))
    refused = [n for n, answer in answers.items() if answer.status != 200]
    assert 1 <= len(refused) <= 2  # once in each shard's thread
    for n in refused:
        assert_refused_rightly(answers[n])
    events = events_of(data, tmp_path / "made", trace)
    assert any(not e.ok for e in events if e.kind is Kind.SYNC)
    assert len(list(acks_of(events))) == 12 - len(refused)
    assert unsynced_acks(events, str(data)) == []
    assert_holds(data, answers)


def test_a_disk_that_fails_for_good_acknowledges_nothing_until_it_is_mended(tmp_path: Path) -> None:
    data, first, second = fresh(tmp_path), tmp_path / "first", tmp_path / "second"
    with traced_ingest(data, first, "-e", "inject=fdatasync,fsync:error=EIO:when=6+") as ingest:
        answers = post_all(ingest, range(14))
        before = [n for n, answer in answers.items() if answer.status == 200]
        assert before
        assert before == list(range(len(before)))
        for n in range(len(before), 14):
            assert_refused_rightly(answers[n])
    with traced_ingest(data, second) as ingest:
        again = post_all(ingest, range(20))
    assert {answer.status for answer in again.values()} == {200}
    assert [n for n in before if again[n].body["deduplicated"] != len(POSTS[n])] == []
    assert unsynced_acks(events_of(data, tmp_path / "made", first, second), str(data)) == []
    assert held(data) == Counter(chain.from_iterable(POSTS[:20]))


def test_what_a_failed_sync_left_in_the_cache_is_written_again_before_anything_stands_on_it(tmp_path: Path) -> None:
    """The process dies after the failure: the next finds the failed transaction whole in the cache, and not on the disk."""
    data, first, second = fresh(tmp_path), tmp_path / "first", tmp_path / "second"
    with traced_ingest(data, first, "-e", "inject=fdatasync:error=EIO:when=6") as ingest:
        answers: dict[int, Answer] = {}
        while all(answer.status == 200 for answer in answers.values()):
            answers |= post_all(ingest, [len(answers)])
        ingest.kill()
    with traced_ingest(data, second) as ingest:
        answers |= post_all(ingest, range(len(answers), 20))
    events = events_of(data, tmp_path / "made", first, second)
    assert unsynced_acks(events, str(data)) == []
    assert_holds(data, answers)


def test_a_full_disk_refuses_and_takes_again_once_there_is_space(tmp_path: Path) -> None:
    data, trace = fresh(tmp_path), tmp_path / "trace"
    with traced_ingest(data, trace, "-e", "inject=pwrite64:error=ENOSPC:when=60..90") as ingest:
        answers = post_all(ingest, range(30))
        refused = [n for n, answer in answers.items() if answer.status != 200]
        assert refused
        for n in refused:
            assert_refused_rightly(answers[n])
        again: dict[int, Answer] = {}
        for _ in range(40):
            again |= post_all(ingest, [n for n in refused if n not in again or again[n].status != 200])
            if all(answer.status == 200 for answer in again.values()):
                break
    assert {answer.status for answer in again.values()} == {200}
    events = events_of(data, tmp_path / "made", trace)
    assert unsynced_acks(events, str(data)) == []
    assert held(data) == Counter(chain.from_iterable(POSTS[:30]))
