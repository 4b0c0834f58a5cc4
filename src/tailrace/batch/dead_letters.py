"""Dead letters that outlive the stream: copied by the batch process before the stream lets their epochs go.

One SQLite file. A letter and the mark that says how far its shard has been copied are written in one transaction, so that a
copy that was killed goes on where it stood and no letter is there twice. The node reads it, and notes what has been redriven.

A letter and a mark each have a checksum, compared when they are read; those that were written before have none.
"""

from __future__ import annotations

import sqlite3
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import Corrupt
from tailrace.model.shard import Shard
from tailrace.model.verdict import Verdict
from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.storage_errors import translated
from tailrace.stream.base import StreamBackend
from tailrace.stream.dead_letters import DeadLetter, all_letters

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
  shard INTEGER NOT NULL, offset INTEGER NOT NULL, epoch INTEGER NOT NULL, arrived_at_us INTEGER NOT NULL,
  verdict INTEGER NOT NULL, reason TEXT NOT NULL, bytes INTEGER NOT NULL, redrive_key TEXT, redriven_at_us INTEGER,
  raw BLOB NOT NULL, checksum INTEGER,
  PRIMARY KEY (shard, offset));
CREATE INDEX IF NOT EXISTS by_arrival ON letters (arrived_at_us, shard, offset, bytes);
CREATE TABLE IF NOT EXISTS marks (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, last_offset INTEGER NOT NULL,
  checksum INTEGER);
CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY CHECK (id = 1), letters INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO held VALUES (1, 0, 0);
"""
_COLUMNS = "shard, offset, epoch, arrived_at_us, verdict, reason, raw, redriven_at_us, checksum"
_DROPPED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class LetterMark:
    """The shard's dead letters up to `epoch`, whose last line is `last_offset`, are in the store (or were let go by it)."""

    epoch: int = 0
    last_offset: int = -1


class DeadLetterStore:
    """Safe in any thread and process. The batch process is the only one that adds or lets go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(lambda: open_synced(path))
        make_folder(path.parent)
        weakref.finalize(self, self._connections.release)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
        with self._transaction() as connection:
            for table in ("letters", "marks"):
                if "checksum" not in (row[1] for row in connection.execute(f"PRAGMA table_info({table})")):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")

    def marks(self) -> Mapping[int, LetterMark]:
        """By the shard's index. Raises Corrupt if one is not as it was written."""
        rows = self._rows("SELECT shard, epoch, last_offset, checksum FROM marks")
        for *values, checksum in rows:
            self._check("mark", values, checksum)
        return {shard: LetterMark(epoch, last_offset) for shard, epoch, last_offset, _ in rows}

    def add(self, shard: Shard, letters: Sequence[DeadLetter], mark: LetterMark | None) -> None:
        """Keep them, and with them the shard's new mark; durable on return. What is there already stays as it is."""
        with self._transaction() as connection:
            for letter in letters:
                _add(connection, letter)
            if mark is not None:
                values = (shard.index, mark.epoch, mark.last_offset)
                connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", (*values, _checksum(values)))

    def count(self) -> int:
        return int(self._rows("SELECT letters FROM held")[0][0])

    def count_after(self, shard: Shard, offset: int) -> int:
        """Of one shard, those after `offset`: kept before their turn, as a redrive does."""
        query = "SELECT count(*) FROM letters WHERE shard = ? AND offset > ?"
        return int(self._rows(query, (shard.index, offset))[0][0])

    def bytes(self) -> int:
        """Of the lines themselves."""
        return int(self._rows("SELECT bytes FROM held")[0][0])

    def newest(self, shards: Sequence[Shard], limit: int, verdict: Verdict | None = None) -> list[DeadLetter]:
        """Newest first; with `verdict`, those of this kind only."""
        chosen, values = ("WHERE verdict = ?", (int(verdict),)) if verdict is not None else ("", ())
        order = "ORDER BY arrived_at_us DESC, shard DESC, offset DESC LIMIT ?"
        return self._letters(shards, self._rows(f"SELECT {_COLUMNS} FROM letters {chosen} {order}", (*values, limit)))

    def one(self, shard: Shard, offset: int) -> DeadLetter | None:
        query = f"SELECT {_COLUMNS} FROM letters WHERE shard = ? AND offset = ?"
        return next(iter(self._letters([shard], self._rows(query, (shard.index, offset)))), None)

    def redrive_keys(self, letters: Sequence[DeadLetter]) -> list[str | None]:
        """The partition key with which a redrive of each was begun; None where none was."""
        query = "SELECT redrive_key FROM letters WHERE shard = ? AND offset = ?"
        with self._connection() as connection:
            rows = [connection.execute(query, (one.shard.index, one.offset)).fetchone() for one in letters]
        return [row[0] if row else None for row in rows]

    def begin_redrive(self, letters: Sequence[DeadLetter], keys: Sequence[str]) -> None:
        """Note with which partition key each goes back into the stream, before it does; durable on return.

        Should the redrive be killed, the next one sends it to the same shard, where its stamp is known. A letter that is in the
        stream only is kept here from now on.
        """
        with self._transaction() as connection:
            for letter, key in zip(letters, keys, strict=True):
                _add(connection, letter)
                place = (letter.shard.index, letter.offset)
                connection.execute("UPDATE letters SET redrive_key = ? WHERE shard = ? AND offset = ?", (key, *place))

    def end_redrive(self, letters: Sequence[DeadLetter], now_us: int) -> None:
        """Note that they are in the stream as records now; durable on return."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE letters SET redriven_at_us = ? WHERE shard = ? AND offset = ? AND redriven_at_us IS NULL",
                [(now_us, letter.shard.index, letter.offset) for letter in letters],
            )

    def retain(self, before_us: int, bytes_max: int) -> int:
        """Let go of those that arrived before `before_us`, and of the oldest while there are more than `bytes_max` (0: no limit).

        Returns how many went.
        """
        gone = 0
        while part := self._oldest(before_us, bytes_max):
            with self._transaction() as connection:
                for shard, offset, size in part:
                    went = connection.execute(
                        "DELETE FROM letters WHERE shard = ? AND offset = ?", (shard, offset)
                    ).rowcount
                    _hold(connection, -went, -went * size)
                    gone += went
        return gone

    def _oldest(self, before_us: int, bytes_max: int) -> list[tuple[int, int, int]]:
        """(shard, offset, bytes) of the next that have to go."""
        excess = self.bytes() - bytes_max if bytes_max else 0
        found: list[tuple[int, int, int]] = []
        query = "SELECT arrived_at_us, shard, offset, bytes FROM letters ORDER BY arrived_at_us, shard, offset LIMIT ?"
        for arrived_at_us, shard, offset, size in self._rows(query, (_DROPPED_AT_ONCE,)):
            if arrived_at_us >= before_us and excess <= 0:
                break
            found.append((shard, offset, size))
            excess -= size
        return found

    def _letters(self, shards: Sequence[Shard], rows: Iterable[tuple[Any, ...]]) -> list[DeadLetter]:
        """Raises Corrupt if one is not as it was written."""
        known = {shard.index: shard for shard in shards}
        found = []
        for *values, redriven, checksum in rows:
            self._check("letter", values, checksum)
            number, offset, epoch, arrived, verdict, reason, raw = values
            found.append(DeadLetter(known[number], offset, epoch, arrived, Verdict(verdict), reason, raw, redriven))
        return found

    def _check(self, what: str, values: Sequence[Any], checksum: int | None) -> None:
        if checksum is not None and checksum != _checksum(values):
            raise Corrupt(str(self._path), f"the checksum of a {what} does not match its values")

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), self._connections.one() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")


def copy_dead_letters(stream: StreamBackend, store: DeadLetterStore, through: Mapping[str, int]) -> int:
    """Copy those of the sealed epochs up to `through` (by shard) that the store has not; how many it looked at."""
    marks = store.marks()
    copied = 0
    for shard in stream.shards():
        mark = marks.get(shard.index, LetterMark())
        for seal in stream.seals(shard.id, mark.epoch):
            if seal.epoch > through.get(shard.id, 0):
                break
            mark = LetterMark(seal.epoch, seal.last_offset)
            if not seal.counts.dead_lettered:
                continue
            for letters in all_letters(stream, shard, seal.first_offset, seal.last_offset):
                store.add(shard, letters, None)
                copied += len(letters)
            store.add(shard, (), mark)
        if mark != marks.get(shard.index, LetterMark()):
            store.add(shard, (), mark)
    return copied


def _add(connection: sqlite3.Connection, letter: DeadLetter) -> None:
    """One that is there already stays as it is."""
    row = (letter.shard.index, letter.offset, letter.epoch, letter.arrived_at_us, int(letter.verdict), letter.reason)
    added = connection.execute(
        "INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?)",
        (*row, len(letter.raw), letter.raw, _checksum((*row, letter.raw))),
    ).rowcount
    _hold(connection, added, added * len(letter.raw))


def _hold(connection: sqlite3.Connection, letters: int, size: int) -> None:
    if letters:
        connection.execute("UPDATE held SET letters = letters + ?, bytes = bytes + ?", (letters, size))


def _checksum(values: Sequence[Any]) -> int:
    """CRC-32 of all that does not change in a row."""
    return zlib.crc32(msgspec.msgpack.encode(values))
