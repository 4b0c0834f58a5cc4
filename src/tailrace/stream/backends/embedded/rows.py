"""The small rows of a shard's file (`about`, `state`, `epochs`), each with a checksum over all its values.

A block guards itself; these rows say where it belongs and what was counted, and SQLite does not notice a flipped bit in any of
them. Files of schema version 1 have no checksums, those of 2 no hash of records: they are read and written as they are.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.errors import Corrupt
from tailrace.model.record_hash import NO_RECORDS, UNKNOWN, RecordHash
from tailrace.stream.backends.embedded.schema import CLOSED, ENDED, OPEN, SCHEMA_VERSIONS
from tailrace.stream.base import EpochSeal, LedgerCounts

_STATE_VALUES = 9
_EPOCH_VALUES = 8
_ABOUT_VALUES = 7
_HASH_VALUES = 2
"""Follow the others of `state` and `epochs`: the sum as a signed number, and what it is made of."""


@dataclass(frozen=True, slots=True)
class About:
    """What never changes in a file."""

    generation: int
    first_offset: int
    first_epoch: int
    created_at_us: int
    fields: str


@dataclass(frozen=True, slots=True)
class FileState:
    """What each append and seal changes: `counts` are those of the open epoch, which began at `open_first_offset`.

    `hash`: of the open epoch's good records. `ended`: closed, and no file follows, since the shard has been split or merged.
    `summed`, `hashed`: whether the rows of this file have checksums, and hashes.
    """

    next_offset: int
    open_epoch: int
    open_first_offset: int
    counts: LedgerCounts
    open_arrived_max_us: int
    closed: bool
    closed_at_us: int
    ended: bool = False
    summed: bool = True
    hash: RecordHash = NO_RECORDS
    hashed: bool = True

    def values(self) -> tuple[int, ...]:
        counts = self.counts
        return (
            self.next_offset,
            self.open_epoch,
            self.open_first_offset,
            counts.stored,
            counts.dead_lettered,
            counts.deduplicated,
            self.open_arrived_max_us,
            ENDED if self.ended else CLOSED if self.closed else OPEN,
            self.closed_at_us,
            *(_hash_values(self.hash) if self.hashed else ()),
        )


def _hash_values(found: RecordHash) -> tuple[int, int]:
    return found.sum - (found.sum >> 63 << 64), found.columns


def _hash_of(row: Sequence[Any], values: int) -> RecordHash:
    """What a row with so many values before it says; UNKNOWN if it is older than hashes."""
    return RecordHash(row[values] % (1 << 64), row[values + 1]) if _is_hashed(row, values) else UNKNOWN


def _is_hashed(row: Sequence[Any], values: int) -> bool:
    return len(row) > values + _HASH_VALUES


def checksum(values: Sequence[object]) -> int:
    """CRC-32 of whole numbers and texts, in their order."""
    parts = [struct.pack("<q", v) if isinstance(v, int) else str(v).encode() + b"\0" for v in values]
    return zlib.crc32(b"".join(parts))


def about_row(about: About, schema_version: int, shard_id: str) -> tuple[object, ...]:
    values = (
        schema_version,
        shard_id,
        about.generation,
        about.first_offset,
        about.first_epoch,
        about.created_at_us,
        about.fields,
    )
    return (1, *values, checksum(values))


def select_about(connection: sqlite3.Connection, shard_id: str) -> About:
    """Raises Corrupt if the file is none of this shard, or not as it was written."""
    row = _only_row(connection, "about", _ABOUT_VALUES, texts=(1, 6))
    path = file_of(connection)
    if row[0] not in SCHEMA_VERSIONS:
        raise Corrupt(path, f"schema version `{row[0]}` is not known", hint="it may come from a newer Tailrace")
    if row[1] != shard_id:
        raise Corrupt(path, f"it is not a file of shard `{shard_id}`")
    return About(*row[2:])


def select_state(connection: sqlite3.Connection) -> FileState:
    """Raises Corrupt if it is not as it was written."""
    row = _only_row(connection, "state", _STATE_VALUES)
    return FileState(
        next_offset=row[0],
        open_epoch=row[1],
        open_first_offset=row[2],
        counts=LedgerCounts(row[3], row[4], row[5]),
        open_arrived_max_us=row[6],
        closed=row[7] != OPEN,
        closed_at_us=row[8],
        ended=row[7] == ENDED,
        summed=len(row) > _STATE_VALUES,
        hash=_hash_of(row, _STATE_VALUES),
        hashed=_is_hashed(row, _STATE_VALUES),
    )


def update_state(connection: sqlite3.Connection, state: FileState) -> None:
    values = state.values()
    names = (
        "next_offset = ?, open_epoch = ?, open_first_offset = ?, stored = ?, dead_lettered = ?, deduplicated = ?, "
        "open_arrived_max_us = ?, closed = ?, closed_at_us = ?"
    )
    if state.hashed:
        names += ", record_hash = ?, hash_columns = ?"
    if state.summed:
        connection.execute(f"UPDATE state SET {names}, checksum = ?", (*values, checksum(values)))
    else:
        connection.execute(f"UPDATE state SET {names}", values)


def insert_epoch(
    connection: sqlite3.Connection, seal: EpochSeal, arrived_max_us: int, *, summed: bool, hashed: bool
) -> None:
    counts = seal.counts
    values: tuple[int, ...] = (
        seal.epoch,
        seal.first_offset,
        seal.last_offset,
        seal.sealed_at_us,
        arrived_max_us,
        counts.stored,
        counts.dead_lettered,
        counts.deduplicated,
        *(_hash_values(seal.hash) if hashed else ()),
    )
    row = (*values, checksum(values)) if summed else values
    connection.execute(f"INSERT INTO epochs VALUES ({', '.join('?' * len(row))})", row)


def select_epochs(connection: sqlite3.Connection, shard_id: str, after_epoch: int) -> list[EpochSeal]:
    """Raises Corrupt if one is not as it was written."""
    rows = connection.execute("SELECT * FROM epochs WHERE epoch > ? ORDER BY epoch", (after_epoch,)).fetchall()
    for row in rows:
        _check(connection, "epochs", row, _EPOCH_VALUES)
    return [
        EpochSeal(shard_id, r[0], r[1], r[2], r[3], LedgerCounts(*r[5:8]), _hash_of(r, _EPOCH_VALUES)) for r in rows
    ]


def file_of(connection: sqlite3.Connection) -> str:
    """The path of the file that a connection is open on."""
    return str(Path(connection.execute("PRAGMA database_list").fetchone()[2]))


def _only_row(connection: sqlite3.Connection, table: str, values: int, texts: Sequence[int] = ()) -> tuple[Any, ...]:
    """The values of the table's one row, and its checksum if it has one."""
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    if len(rows) != 1 or rows[0][0] != 1:
        raise Corrupt(file_of(connection), f"table `{table}` has `{len(rows)}` rows, not the one it was given")
    row: tuple[Any, ...] = rows[0][1:]
    _check(connection, table, row, values, texts)
    return row if table == "state" else row[:values]


def _check(
    connection: sqlite3.Connection, table: str, row: Sequence[Any], values: int, texts: Sequence[int] = ()
) -> None:
    values += _HASH_VALUES if table != "about" and _is_hashed(row, values) else 0
    right = all(isinstance(value, str if n in texts else int) for n, value in enumerate(row[:values]))
    if not right or (len(row) > values and row[values] != checksum(row[:values])):
        raise Corrupt(file_of(connection), f"a row of table `{table}` does not match its checksum")
