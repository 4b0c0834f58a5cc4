"""Reading one file (one generation) of a shard.

Called by `files.py`, which strings files together. Connections to an open file are kept and pooled, one a reading thread at a
time; no read transaction outlives a call, so that writers and checkpoints are never held up.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.errors import Corrupt
from tailrace.runtime.connections import Connections
from tailrace.runtime.storage_errors import translate, translated
from tailrace.stream.backends.embedded.rows import About, FileState, select_about, select_epochs, select_state
from tailrace.stream.backends.embedded.schema import connect_reader
from tailrace.stream.base import EpochSeal

FEW_SEALS = 64
"""Seals kept in memory of a closed file: after splits and merges there are many short ones, and the ledger asks all of them."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A row of `blocks`; `size`: of both halves decoded, in bytes. `columns` and `raw` are None unless asked for."""

    first_offset: int
    count: int
    epoch: int
    arrived_at_us: int
    size: int
    checksum: int
    columns: bytes | None
    raw: bytes | None


class ShardFile:
    """One generation, seen by readers. Thread-safe."""

    def __init__(self, path: Path, shard_id: str) -> None:
        """Raises FileNotFoundError if the file is gone, Corrupt if it is no file of this shard."""
        self.path = path
        self.shard_id = shard_id
        self._connections = Connections(lambda: _open(path))
        self._final: FileState | None = None
        self._final_bytes = 0
        self._few_seals: list[EpochSeal] | None = None
        self._has_many_seals = False
        self.about = self._read_about()

    def _read_about(self) -> About:
        with self._connection() as connection:
            return select_about(connection, self.shard_id)

    def state(self) -> FileState:
        """As committed now; a closed file is asked once."""
        if self._final is not None:
            return self._final
        with self._connection() as connection:
            state = select_state(connection)
        if state.closed:
            self._final = state
            self._connections.release()
        return state

    def blocks(
        self, start_offset: int, max_blocks: int, max_bytes: int, *, columns: bool, raw: bool
    ) -> list[StoredBlock]:
        """Blocks from the one that holds `start_offset`, up to either limit (`max_bytes` counts decoded bytes), at least one."""
        found: list[StoredBlock] = []
        size = 0
        halves = f"{'columns' if columns else 'NULL'}, {'raw' if raw else 'NULL'}"
        query = (
            f"SELECT first_offset, count, epoch, arrived_at_us, bytes, checksum, {halves} FROM blocks WHERE first_offset >= "
            "coalesce((SELECT max(first_offset) FROM blocks WHERE first_offset <= ?1), ?1) ORDER BY first_offset LIMIT ?2"
        )
        with self._connection() as connection:
            cursor = connection.execute(query, (start_offset, max_blocks))
            try:
                for row in cursor:
                    if not all(isinstance(value, int) for value in row[:6]):
                        raise Corrupt(str(self.path), "the coordinates of a block are not numbers")
                    size += row[4]
                    if found and size > max_bytes:
                        break
                    found.append(StoredBlock(*row))
            finally:
                cursor.close()
        return found

    def seals(self, after_epoch: int) -> list[EpochSeal]:
        """Sealed epochs greater than `after_epoch`, ascending. A closed file with few is asked once."""
        if self._final is None or self._has_many_seals:
            return self._select_seals(after_epoch)
        if self._few_seals is None:
            found = self._select_seals(0)
            self._has_many_seals = len(found) > FEW_SEALS
            if not self._has_many_seals:
                self._few_seals = found
            return [seal for seal in found if seal.epoch > after_epoch]
        return [seal for seal in self._few_seals if seal.epoch > after_epoch]

    def _select_seals(self, after_epoch: int) -> list[EpochSeal]:
        with self._connection() as connection:
            return select_epochs(connection, self.shard_id, after_epoch)

    def first_arrival(self, since_us: int) -> int | None:
        """First offset of the first block that arrived at or after `since_us`, if there is one.

        Arrival times are labels and may step back, so epochs are asked in order for their latest label.
        """
        with self._connection() as connection:
            connection.execute("BEGIN")
            try:
                return _first_arrival(connection, since_us)
            finally:
                connection.execute("COMMIT")

    def size_bytes(self) -> int:
        """On disk, WAL included; asked once of a closed file whose WAL is empty."""
        if self._final_bytes:
            return self._final_bytes
        sizes = []
        for name in (self.path, Path(f"{self.path}-wal")):
            try:
                sizes.append(name.stat().st_size)
            except FileNotFoundError:
                sizes.append(0)
        if self._final is not None and sizes[1] == 0:
            self._final_bytes = sizes[0]
        return sum(sizes)

    def select(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """All rows of a query about what deduplication remembers; of a file that has been let go, of what is left of it.

        Raises FileNotFoundError if nothing is.
        """
        try:
            with self._connection() as connection:
                return connection.execute(query, values).fetchall()
        except FileNotFoundError:
            left = remembered_path(self.path)
            connection = _open(left)
            with translated(left), closing(connection):
                return connection.execute(query, values).fetchall()

    def release(self) -> None:
        """Close what is idle now, and what is in use once it is handed back."""
        self._connections.release()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Kept for the next call; not those of a closed file: there are many, and they are seldom read."""
        try:
            with self._connections.one() as connection:
                yield connection
        except sqlite3.DataError as error:
            raise Corrupt(str(self.path), str(error)) from error
        except sqlite3.Error as error:
            raise translate(error, self.path) from error


def remembered_path(path: Path) -> Path:
    """Where that stands which deduplication still remembers of a generation's file once it has been let go."""
    return path.with_name(f"{path.stem}.stamps.db")


def _open(path: Path) -> sqlite3.Connection:
    """Raises FileNotFoundError if the file is gone."""
    os.stat(path)
    return connect_reader(path)


def _first_arrival(connection: sqlite3.Connection, since_us: int) -> int | None:
    row = connection.execute(
        "SELECT first_offset, last_offset FROM epochs WHERE arrived_max_us >= ? ORDER BY epoch LIMIT 1", (since_us,)
    ).fetchone()
    if row is None:
        state = select_state(connection)
        if state.open_arrived_max_us < since_us:
            return None
        row = (state.open_first_offset, state.next_offset)
    found = connection.execute(
        "SELECT first_offset FROM blocks WHERE first_offset BETWEEN ? AND ? AND arrived_at_us >= ? ORDER BY first_offset LIMIT 1",
        (*row, since_us),
    ).fetchone()
    return None if found is None else int(found[0])
