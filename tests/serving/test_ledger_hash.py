"""What is changed between the stream and the lake is seen by the ledger's hash, also where no view looks and every count is right."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tailrace.batch import consumer
from tailrace.batch.consumer import lake_rows
from tailrace.batch.rehash import rehash
from tailrace.model.record_hash import NO_RECORDS, UNKNOWN, RecordHash
from tailrace.serving.ledger import hash_compared, ledger
from tailrace.states.manifest import Book
from tailrace.stream.base import Block, EpochSeal, LedgerCounts
from tests.durability.life import one_view
from tests.oracle.rig import Rig

LONG = "a message that no view reads, longer than what is hashed at once, of worker "


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with one_view():
        made = Rig(tmp_path, embedded=True)
        made.look()
        yield made
        made.close()


def lines(first: int, count: int) -> list[bytes]:
    """The odd ones are dead letters or long, with members that are no fields."""
    made = []
    for n in range(first, first + count):
        record: dict[str, Any] = {
            "timestamp": f"2026-11-22T10:00:{n % 60:02d}Z",
            "endpoint": f"/e{n % 8}",
            "message": f"m{n}",
        }
        if n % 3 == 1:
            record |= {
                "message": LONG + str(n),
                "trace_id": f"{n:016x}",
                "response_ms": n / 8,
                "ip": f"10.0.0.{n % 99}",
            }
        if n % 7 == 6:
            record = {"timestamp": "never", "n": n}
        made.append(json.dumps(record | {"own": [n]}).encode())
    return made


def book_of(rig: Rig) -> dict[str, Any]:
    return ledger(rig.stream, rig.pinned)


def three_epochs(rig: Rig, changed: Callable[[pa.Table], pa.Table] | None = None) -> None:
    """In each shard, handed over together; the records of the first shard's second are `changed` on their way to the lake."""
    for first in (0, 30, 60):
        rig.put(lines(first, 30))
        rig.seal()
    first_shard = rig.stream.shards()[0].id

    def copied(block: Block) -> pa.Table:
        rows = lake_rows(block)
        return changed(rows) if changed and (block.shard_id, block.epoch) == (first_shard, 2) else rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer, "lake_rows", copied)
        rig.settle()


def test_what_the_lake_gives_back_is_what_the_stream_was_given(rig: Rig) -> None:
    three_epochs(rig)
    rig.put(lines(90, 2000))
    rig.settle()
    rig.compact_lake()
    for split in (rig.open_shards()[0].id, rig.open_shards()[1].id):
        rig.stream.split(split)
    rig.put(lines(3000, 40))
    rig.settle()
    rig.compact_lake()
    book = book_of(rig)
    assert book["balanced"], book["first_difference"]
    assert book["unhashed_epochs"] == 0
    for shard in rig.stream.shards():
        seals = rig.stream.seals(shard.id)
        expected = {s.epoch: s.hash for s in seals if s.epoch in (2, 3) and s.counts.stored}
        assert rehash(rig.lake_now().files, shard.id, 2, 3) == expected


def one_message(rows: pa.Table) -> pa.Table:
    index = rows.schema.get_field_index("message")
    texts = rows.column("message").to_pylist()
    texts[len(texts) // 2] += "!"
    return rows.set_column(index, "message", pa.array(texts, pa.string()))


def exchanged(rows: pa.Table) -> pa.Table:
    """Two records change places: each has the offset of the other."""
    order = np.arange(rows.num_rows)
    order[[1, 4]] = order[[4, 1]]
    moved = rows.take(pa.array(order))
    return moved.set_column(rows.schema.get_field_index("_offset"), "_offset", rows.column("_offset"))


def one_for_another(rows: pa.Table) -> pa.Table:
    """One is lost, its neighbour is there twice: no count differs."""
    order = np.arange(rows.num_rows)
    order[3] = 2
    return rows.take(pa.array(order))


def a_member(rows: pa.Table) -> pa.Table:
    index = rows.schema.get_field_index("extra")
    return rows.set_column(index, "extra", pc.replace_substring(rows.column("extra").cast(pa.string()), "[3", "[4"))


@pytest.mark.parametrize("changed", [one_message, exchanged, one_for_another, a_member])
def test_a_change_on_the_way_is_named_with_its_epoch(rig: Rig, changed: Callable[[pa.Table], pa.Table]) -> None:
    three_epochs(rig, changed)
    assert rig.store.findings() == [] or changed is one_for_another
    shard = rig.stream.shards()[0].id
    book = book_of(rig)
    stored = rig.stream.seals(shard)[1].counts.stored
    difference = dict(book["first_difference"])
    hashes = difference.pop("expected_hash"), difference.pop("held_hash")
    assert difference == {
        "stage": "lake",
        "shard": shard,
        "expected": stored,
        "held": stored,
        "epoch_first": 2,
        "epoch_last": 2,
    }
    assert hashes[0] == f"{rig.stream.seals(shard)[1].hash.sum:016x}" != hashes[1]
    assert not book["balanced"]
    rig.put(lines(90, 30))
    rig.restart()
    rig.settle()
    assert book_of(rig)["first_difference"] == book["first_difference"]


def test_epochs_of_an_older_file_are_unknown_and_not_wrong(rig: Rig, tmp_path: Path) -> None:
    rig.put(lines(0, 10))
    rig.seal()
    rig.stream.close()
    for path in tmp_path.glob("stream/*/*.db"):
        with closing(sqlite3.connect(path)) as connection:
            for table in ("state", "epochs"):
                for column in ("record_hash", "hash_columns", "checksum"):
                    connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
            connection.execute("ALTER TABLE about DROP COLUMN checksum")
            connection.execute("UPDATE about SET schema_version = 1")
            connection.commit()
    rig.restart()
    rig.put(lines(10, 30))
    assert {rig.stream.end(shard.id).open_hash for shard in rig.stream.shards()} == {UNKNOWN}
    rig.settle()
    book = book_of(rig)
    assert book["balanced"], book["first_difference"]
    assert book["unhashed_epochs"] == sum(len(rig.stream.seals(shard.id)) for shard in rig.stream.shards()) > 1


def seal(epoch: int, hash_: RecordHash) -> EpochSeal:
    return EpochSeal("s", epoch, 0, 9, 0, LedgerCounts(10), hash_)


def test_records_of_other_fields_are_unknown() -> None:
    seals = [seal(5, RecordHash(1, 7)), seal(6, RecordHash(2, 8)), seal(7, UNKNOWN), seal(8, NO_RECORDS)]
    held = {5: RecordHash(1, 7), 6: RecordHash(2, 7), 7: RecordHash(3, 7)}
    after = hash_compared(Book(epoch=8, stored=40), seals, held)
    assert (after.unhashed, after.difference) == (2, None)


def test_the_first_difference_stays_and_an_epoch_that_is_gone_is_one() -> None:
    seals = [seal(5, RecordHash(1, 7)), seal(6, RecordHash(2, 7)), seal(7, RecordHash(3, 7))]
    after = hash_compared(Book(epoch=7, stored=30), seals, {5: RecordHash(1, 7), 7: RecordHash(4, 7)})
    assert after.difference is not None
    assert (after.difference.epoch_first, after.difference.epoch_last) == (6, 6)
    assert (after.difference.expected_hash, after.difference.held_hash) == ("0000000000000002", "0000000000000000")
    assert hash_compared(after, seals, {}).difference == after.difference
