"""The newest dead letters, by their place in the stream: over sealed and open epochs, several shards, and a trim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.config.settings import StreamSettings
from tailrace.errors import Invalid, NotFound
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.verdict import Verdict
from tailrace.runtime.clock import ManualClock
from tailrace.serving.dead_letters import newest, one, total
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.partitioning import split
from tests.formats.decoding import STAMP, decoded

GOOD = f'{{"timestamp":"{STAMP}","endpoint":"/%d"}}'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(tmp_path: Path, clock: ManualClock) -> Iterator[EmbeddedStream]:
    opened = open_embedded(tmp_path / "logs", StreamSettings(file_interval_s=60), DEFAULT_FIELDS, clock)
    yield opened
    opened.close()


def post(stream: EmbeddedStream, clock: ManualClock, *bad: bytes) -> None:
    """The bad lines, each between good ones that go to every shard."""
    lines = [(GOOD % n).encode() for n in range(20)]
    for at, line in enumerate(bad):
        lines.insert(3 * at + 1, line)
    found = decoded(b"\n".join(lines))
    for batch in split(found.columns, found.raw, found.keys, stream.shards(), found.lines):
        stream.append(batch).result()
    clock.advance(1)


def seal(stream: EmbeddedStream) -> None:
    for shard in stream.shards():
        stream.seal(shard.id)


def test_there_are_none(stream: EmbeddedStream, clock: ManualClock) -> None:
    assert (newest(stream, 10), total(stream)) == ([], 0)
    post(stream, clock)
    seal(stream)
    assert (newest(stream, 10), total(stream)) == ([], 0)


def test_newest_first_whatever_is_sealed(stream: EmbeddedStream, clock: ManualClock) -> None:
    for number in range(6):
        post(stream, clock, b"broken %d" % number)
        if number % 2:
            seal(stream)
    assert [letter.raw for letter in newest(stream, 100)] == [b"broken %d" % n for n in (5, 4, 3, 2, 1, 0)]
    assert [letter.raw for letter in newest(stream, 2)] == [b"broken 5", b"broken 4"]
    assert total(stream) == 6


def test_of_one_kind(stream: EmbeddedStream, clock: ManualClock) -> None:
    post(stream, clock, b"broken", b'{"endpoint":"/x"}', b'"text"', b'{"endpoint":"/\xff"}')
    found = newest(stream, 10, Verdict.NO_TIMESTAMP)
    assert [(letter.raw, letter.reason) for letter in found] == [(b'{"endpoint":"/x"}', "has no timestamp")]
    kinds = {letter.verdict for letter in newest(stream, 10)}
    assert kinds == {Verdict.MALFORMED, Verdict.NO_TIMESTAMP, Verdict.NOT_AN_OBJECT, Verdict.NOT_UTF8}


def test_one_by_its_id(stream: EmbeddedStream, clock: ManualClock) -> None:
    post(stream, clock, b"broken", b"also broken")
    for letter in newest(stream, 10):
        assert one(stream, letter.id) == letter
    good = next(n for n in range(99) if f"0-{n}" not in {letter.id for letter in newest(stream, 10)})
    for unknown in (f"0-{good}", "0-99999", "7-0"):
        with pytest.raises(NotFound):
            one(stream, unknown)
    for wrong in ("", "0", "0-", "-1", "0-1-2", "../0-1", "0-" + "9" * 30):
        with pytest.raises(Invalid):
            one(stream, wrong)


def test_what_is_trimmed_is_gone(stream: EmbeddedStream, clock: ManualClock) -> None:
    post(stream, clock, b"old")
    clock.advance(120)
    seal(stream)
    post(stream, clock, b"new")
    gone = next(letter for letter in newest(stream, 10) if letter.raw == b"old")
    for shard in stream.shards():
        stream.trim(shard.id, 1, clock.now_us() + 1)
    assert [letter.raw for letter in newest(stream, 10)] == [b"new"]
    assert total(stream) == 1
    with pytest.raises(NotFound):
        one(stream, gone.id)
