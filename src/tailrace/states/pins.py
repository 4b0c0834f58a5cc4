"""Pinned results: what somebody has cited, kept as it was for as long as he wants it.

One SQLite file, written by the node and read by it. A pin and its result are written in one transaction. Each has a checksum: a pin
that is not as it was written is named, and never shown.
"""

from __future__ import annotations

import sqlite3
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tailrace.errors import Conflict, Corrupt, NotFound, TooLarge
from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.storage_errors import translated
from tailrace.states.manifest import sealed, unsealed

PINS_MAX = 1_000
RESULT_BYTES_MAX = 16 << 20
"""Of one result, as JSON."""
STORED_BYTES_MAX = 1 << 30
"""Of all results together, compressed."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pins (
  id TEXT PRIMARY KEY, created_us INTEGER NOT NULL, body BLOB NOT NULL, result BLOB NOT NULL);
"""


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, of which version of the view, at which position. `query`: parameters of `/v1/views/{name}`, none relative.

    `position`, `position_token`: as the answer gave them. `rows`, `bytes`, `checksum`: of the result as JSON, CRC-32.
    """

    id: str
    view: str
    version: str
    sql: str
    query: dict[str, str]
    position: dict[str, str | None]
    position_token: str
    created_us: int
    rows: int = 0
    bytes: int = 0
    checksum: int = 0


class PinStore:
    """Safe in any thread and process. The file is made by the first use, so one that is damaged keeps no node from starting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(lambda: _open(path))
        weakref.finalize(self, self._connections.release)

    def add(self, pin: Pin, result: bytes) -> Pin:
        """Keep it; durable on return. `result`: JSON. Returns the pin with what is known of the result.

        Raises TooLarge for a result that is too long, Conflict if too many are kept: then nothing has changed.
        """
        if len(result) > RESULT_BYTES_MAX:
            raise TooLarge(
                f"the result has `{len(result):,}` bytes, a pin holds {RESULT_BYTES_MAX:,}",
                hint="narrow it with from, to, where, columns, top or limit, or take a longer step",
            )
        packed = zlib.compress(result, 6)
        pin = msgspec.structs.replace(pin, bytes=len(result), checksum=zlib.crc32(result))
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            count, held = connection.execute("SELECT count(*), coalesce(sum(length(result)), 0) FROM pins").fetchone()
            if count >= PINS_MAX or held + len(packed) > STORED_BYTES_MAX:
                raise Conflict(
                    f"`{count:,}` pins with `{held:,}` bytes are kept, at most {PINS_MAX:,} with {STORED_BYTES_MAX:,} can be",
                    hint="remove some: tailrace pins list, tailrace pins remove ID",
                )
            connection.execute("INSERT INTO pins VALUES (?, ?, ?, ?)", (pin.id, pin.created_us, sealed(pin), packed))
            connection.execute("COMMIT")
        return pin

    def all(self) -> list[Pin | tuple[str, Corrupt]]:
        """Newest first; of one that is damaged its id, and what is wrong."""
        with self._connection() as connection:
            rows = connection.execute("SELECT id, body FROM pins ORDER BY created_us DESC, id").fetchall()
        found: list[Pin | tuple[str, Corrupt]] = []
        for pin_id, body in rows:
            try:
                found.append(self._pin(pin_id, body))
            except Corrupt as error:
                found.append((str(pin_id), error))
        return found

    def one(self, pin_id: str) -> tuple[Pin, bytes]:
        """The pin and its result. Raises NotFound, or Corrupt if either is not as it was written."""
        with self._connection() as connection:
            row = connection.execute("SELECT body, result FROM pins WHERE id = ?", (pin_id,)).fetchone()
        if row is None:
            raise _no_pin(pin_id)
        pin = self._pin(pin_id, row[0])
        try:
            result = zlib.decompress(row[1])
        except (zlib.error, TypeError) as error:
            raise self._damaged(pin_id, f"its result does not read: {error}") from error
        if len(result) != pin.bytes or zlib.crc32(result) != pin.checksum:
            raise self._damaged(pin_id, "the checksum of its result does not match")
        return pin, result

    def remove(self, pin_id: str) -> None:
        """Also one that is damaged. Raises NotFound."""
        with self._connection() as connection:
            if connection.execute("DELETE FROM pins WHERE id = ?", (pin_id,)).rowcount == 0:
                raise _no_pin(pin_id)

    def _pin(self, pin_id: str, body: object) -> Pin:
        try:
            pin = unsealed(body, Pin, self._path)
        except Corrupt as error:
            raise self._damaged(pin_id, error.message) from error
        if pin.id != pin_id:
            raise self._damaged(pin_id, f"pin `{pin.id}` stands in its place")
        return pin

    def _damaged(self, pin_id: str, detail: str) -> Corrupt:
        hint = f"restore the file from a backup, or let go of the pin: tailrace pins remove {pin_id}"
        return Corrupt(str(self._path), f"pin `{pin_id}`: {detail}", hint=hint)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), self._connections.one() as connection:
            yield connection


def _no_pin(pin_id: str) -> NotFound:
    return NotFound(f"there is no pin `{pin_id}`", hint="see: tailrace pins list")


def _open(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    connection = open_synced(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
