"""Dead letters in the stream and beside it: over sealed and open epochs, several shards, copies, trims, and redrives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.batch.dead_letters import DeadLetterStore, copy_dead_letters
from tailrace.config.settings import StreamSettings
from tailrace.errors import Corrupt, Invalid, NotFound
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.verdict import Verdict
from tailrace.runtime.clock import ManualClock
from tailrace.serving.dead_letters import DeadLetters
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.partitioning import split
from tests.formats.decoding import STAMP, decoded

GOOD = f'{{"timestamp":"{STAMP}","endpoint":"/%d"}}'


@pytest.fixture
def store(tmp_path: Path) -> DeadLetterStore:
    return DeadLetterStore(tmp_path / "deadletters.db")


@pytest.fixture
def letters(stream: EmbeddedStream, store: DeadLetterStore) -> DeadLetters:
    return DeadLetters(stream, store)


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


def test_there_are_none(stream: EmbeddedStream, letters: DeadLetters, clock: ManualClock) -> None:
    assert (letters.newest(10), letters.total()) == ([], 0)
    post(stream, clock)
    seal(stream)
    assert (letters.newest(10), letters.total()) == ([], 0)


def test_newest_first_whatever_is_sealed(stream: EmbeddedStream, letters: DeadLetters, clock: ManualClock) -> None:
    for number in range(6):
        post(stream, clock, b"broken %d" % number)
        if number % 2:
            seal(stream)
    assert [letter.raw for letter in letters.newest(100)] == [b"broken %d" % n for n in (5, 4, 3, 2, 1, 0)]
    assert [letter.raw for letter in letters.newest(2)] == [b"broken 5", b"broken 4"]
    assert letters.total() == 6


def test_of_one_kind(stream: EmbeddedStream, letters: DeadLetters, clock: ManualClock) -> None:
    post(stream, clock, b"broken", b'{"endpoint":"/x"}', b'"text"', b'{"endpoint":"/\xff"}')
    found = letters.newest(10, Verdict.NO_TIMESTAMP)
    assert [(letter.raw, letter.reason) for letter in found] == [(b'{"endpoint":"/x"}', "has no timestamp")]
    kinds = {letter.verdict for letter in letters.newest(10)}
    assert kinds == {Verdict.MALFORMED, Verdict.NO_TIMESTAMP, Verdict.NOT_AN_OBJECT, Verdict.NOT_UTF8}


def test_one_by_its_id(stream: EmbeddedStream, letters: DeadLetters, clock: ManualClock) -> None:
    post(stream, clock, b"broken", b"also broken")
    for letter in letters.newest(10):
        assert letters.one(letter.id) == letter
    good = next(n for n in range(99) if f"0-{n}" not in {letter.id for letter in letters.newest(10)})
    for unknown in (f"0-{good}", "0-99999", "7-0"):
        with pytest.raises(NotFound):
            letters.one(unknown)
    for wrong in ("", "0", "0-", "-1", "0-1-2", "../0-1", "0-" + "9" * 30):
        with pytest.raises(Invalid):
            letters.one(wrong)


def through(stream: EmbeddedStream) -> dict[str, int]:
    return {shard.id: stream.end(shard.id).open_epoch - 1 for shard in stream.shards()}


def trim_all(stream: EmbeddedStream, clock: ManualClock) -> None:
    for shard in stream.shards():
        stream.trim(shard.id, through(stream)[shard.id], clock.now_us() + 1)


def test_copies_stay_when_the_stream_lets_go(
    stream: EmbeddedStream, letters: DeadLetters, store: DeadLetterStore, clock: ManualClock
) -> None:
    post(stream, clock, b"old", b"old too")
    clock.advance(120)
    seal(stream)
    post(stream, clock, b"new")
    before = letters.newest(10)
    assert copy_dead_letters(stream, store, through(stream)) == 2
    assert copy_dead_letters(stream, store, through(stream)) == 0
    assert (letters.newest(10), letters.total()) == (before, 3)
    trim_all(stream, clock)
    assert (letters.newest(10), letters.total()) == (before, 3)
    assert [letters.one(letter.id) for letter in before] == before
    seal(stream)
    copy_dead_letters(stream, store, through(stream))
    assert (letters.newest(10), letters.total()) == (before, 3)


def test_only_what_batch_has_covered_is_copied(
    stream: EmbeddedStream, letters: DeadLetters, store: DeadLetterStore, clock: ManualClock
) -> None:
    post(stream, clock, b"one")
    seal(stream)
    assert copy_dead_letters(stream, store, {}) == 0
    assert store.marks() == {}
    assert letters.total() == 1


def test_a_copy_that_was_cut_short_goes_on(
    stream: EmbeddedStream, letters: DeadLetters, store: DeadLetterStore, clock: ManualClock
) -> None:
    post(stream, clock, b"one", b"two")
    seal(stream)
    first = letters.newest(10)[-1]
    store.add(first.shard, [first], None)
    copy_dead_letters(stream, store, through(stream))
    assert (len(letters.newest(10)), letters.total(), store.count()) == (2, 2, 2)
    assert store.bytes() == len(b"one") + len(b"two")


def test_the_oldest_and_the_surplus_go(
    stream: EmbeddedStream, letters: DeadLetters, store: DeadLetterStore, clock: ManualClock
) -> None:
    for number in range(6):
        post(stream, clock, b"broken %d" % number)
    seal(stream)
    copy_dead_letters(stream, store, through(stream))
    trim_all(stream, clock)
    third = letters.newest(10)[-3].arrived_at_us
    assert store.retain(third, 0) == 2
    assert store.retain(0, 2 * len(b"broken 0")) == 2
    assert [letter.raw for letter in letters.newest(10)] == [b"broken 5", b"broken 4"]
    assert (store.retain(0, 0), store.count(), store.bytes()) == (0, 2, 16)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("letters", "raw = CAST('other' AS BLOB)"),
        ("letters", "reason = 'another'"),
        ("letters", "arrived_at_us = arrived_at_us + 1"),
        ("marks", "epoch = epoch + 1"),
    ],
)
def test_a_changed_row_is_named_and_an_older_one_is_read(
    stream: EmbeddedStream,
    letters: DeadLetters,
    store: DeadLetterStore,
    clock: ManualClock,
    tmp_path: Path,
    table: str,
    change: str,
) -> None:
    post(stream, clock, b"one")
    seal(stream)
    copy_dead_letters(stream, store, {shard.id: 9 for shard in stream.shards()})
    path = tmp_path / "deadletters.db"
    before = letters.newest(9)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {table} SET checksum = NULL")
        connection.commit()
        assert letters.newest(9) == before
        for old in ("letters", "marks"):
            connection.execute(f"ALTER TABLE {old} DROP COLUMN checksum")
        connection.commit()
    older = DeadLetters(stream, DeadLetterStore(path))
    assert older.newest(9) == before
    post(stream, clock, b"two")
    seal(stream)
    copy_dead_letters(stream, older.store, {shard.id: 9 for shard in stream.shards()})
    assert [letter.raw for letter in older.newest(9)] == [b"two", b"one"]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {table} SET {change} WHERE checksum IS NOT NULL")
        connection.commit()
    with pytest.raises(Corrupt, match=r"deadletters\.db"):
        older.newest(9)
