"""The manifest: the frontier and the segments it stands on, one row, swapped by compare-and-swap with a fencing token.

A query pins one manifest. The batch process is the only writer of generations; a second one that starts takes a higher token,
and the first is refused from then on. The same file keeps which view versions are wanted (written by the node's view
watcher) and the findings of the drift check (written by batch, acknowledged by people).
"""

from __future__ import annotations

import sqlite3
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.errors import Conflict, Corrupt, Fenced
from tailrace.runtime.connections import Connections
from tailrace.runtime.files import make_folder
from tailrace.runtime.mark import check_mark, read_mark, write_mark
from tailrace.runtime.storage_errors import translated
from tailrace.states.segment import Segment

KEPT_GENERATIONS = 64
"""Older generations are forgotten; the files only they name may then go."""

_SEAL = b"TRM1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifests (
  generation INTEGER PRIMARY KEY, token INTEGER NOT NULL, created_us INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fence (id INTEGER PRIMARY KEY CHECK (id = 1), token INTEGER NOT NULL);
INSERT OR IGNORE INTO fence VALUES (1, 0);
CREATE TABLE IF NOT EXISTS wanted_views (
  name TEXT PRIMARY KEY, version TEXT NOT NULL, sql TEXT NOT NULL, shipped INTEGER NOT NULL,
  wanted_us INTEGER NOT NULL, speed_ready INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS findings (id INTEGER PRIMARY KEY, body BLOB NOT NULL, acknowledged_us INTEGER);
"""


class ViewStates(msgspec.Struct, frozen=True, kw_only=True):
    """A view version that is served, and its batch segments."""

    name: str
    version: str
    sql: str
    segments: tuple[Segment, ...] = ()


class LakePin(msgspec.Struct, frozen=True, kw_only=True):
    """The lake a manifest was made from (`snapshot_id` None: nothing there yet): by shard, its rows and its last epoch."""

    snapshot_id: int | None = None
    rows: dict[str, int] = {}
    epochs: dict[str, int] = {}
    files: int = 0
    bytes: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`frontier`: every shard -> last epoch that the batch segments cover (0: none). `views`: by name."""

    generation: int = 0
    frontier: dict[str, int] = {}
    lake: LakePin = LakePin()
    views: dict[str, ViewStates] = {}

    def segment_files(self) -> set[str]:
        return {f for view in self.views.values() for s in view.segments for f in s.files.values()}


class WantedView(msgspec.Struct, frozen=True, kw_only=True):
    """A view that should be served. `speed_ready`: the speed layer holds its states above the frontier."""

    name: str
    version: str
    sql: str
    shipped: bool = False
    speed_ready: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Speed and batch disagreed: how many state rows, where, and up to 20 of them with both values."""

    view: str
    version: str
    shard: str
    epoch_first: int
    epoch_last: int
    differing_rows: int
    found_us: int
    sample: list[dict[str, object]] = []
    acknowledged: bool = False


T = TypeVar("T", Manifest, Finding)


class ManifestStore:
    """Safe in any thread and process. Each call has an SQLite connection to itself; idle ones are kept for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(lambda: _open(path))
        make_folder(path.parent)
        weakref.finalize(self, self._connections.release)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), self._connections.one() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def generation(self) -> int:
        """The newest generation's number; 0 before the first swap. Raises Corrupt if the file has lost one."""
        mark = read_mark(self._path.parent)
        with self._connection() as connection:
            newest = int(connection.execute("SELECT coalesce(max(generation), 0) FROM manifests").fetchone()[0])
        check_mark(mark, (newest, 0), self._path)
        return newest

    def current(self) -> Manifest:
        """The newest generation. Raises Corrupt if it is not as it was written, or the file has lost one."""
        mark = read_mark(self._path.parent)
        with self._connection() as connection:
            row = connection.execute(
                "SELECT generation, body FROM manifests ORDER BY generation DESC LIMIT 1"
            ).fetchone()
        found = self._manifest(*row) if row else Manifest()
        check_mark(mark, (found.generation, 0), self._path)
        return found

    def _manifest(self, generation: int, body: bytes) -> Manifest:
        found = unsealed(body, Manifest, self._path)
        if found.generation != generation:
            raise Corrupt(str(self._path), f"generation `{found.generation}` stands under the number `{generation}`")
        return found

    def acquire_token(self) -> int:
        """A fencing token higher than all before; from now on older holders cannot swap."""
        with self._transaction() as connection:
            connection.execute("UPDATE fence SET token = token + 1")
            return int(connection.execute("SELECT token FROM fence").fetchone()[0])

    def swap(self, expected_generation: int, manifest: Manifest, token: int, now_us: int) -> Manifest:
        """Make `manifest` the current one, as generation `expected_generation` + 1, and return it; durable on return.

        Raises Fenced if a newer token exists, Conflict if another generation has come in between: then nothing has changed.
        """
        with self._transaction() as connection:
            held = int(connection.execute("SELECT token FROM fence").fetchone()[0])
            if held != token:
                raise Fenced(
                    f"fencing token `{token}` is superseded by `{held}`",
                    hint="another batch process has taken over; stop this one",
                )
            newest = int(connection.execute("SELECT coalesce(max(generation), 0) FROM manifests").fetchone()[0])
            if newest != expected_generation:
                raise Conflict(
                    f"manifest is at generation `{newest}`, expected `{expected_generation}`",
                    hint="read it again and redo the step",
                )
            swapped = msgspec.structs.replace(manifest, generation=newest + 1)
            connection.execute(
                "INSERT INTO manifests VALUES (?, ?, ?, ?)",
                (swapped.generation, token, now_us, sealed(swapped)),
            )
            connection.execute("DELETE FROM manifests WHERE generation <= ?", (swapped.generation - KEPT_GENERATIONS,))
        with suppress(OSError):
            write_mark(self._path.parent, (swapped.generation, 0))
        return swapped

    def live_files(self, since_us: int) -> set[str]:
        """Segment files named by the current manifest or by one made after `since_us`, which a query may still pin."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT generation, body FROM manifests WHERE created_us >= ? OR generation >= (SELECT max(generation) - 1 FROM manifests)",
                (since_us,),
            ).fetchall()
        return {f for row in rows for f in self._manifest(*row).segment_files()}

    def want(self, views: Iterable[WantedView], now_us: int) -> None:
        """Replace the list of wanted views. A view whose version is unchanged keeps its `speed_ready`."""
        listed = list(views)
        with self._transaction() as connection:
            known = dict(connection.execute("SELECT name, version FROM wanted_views"))
            for name in known.keys() - {v.name for v in listed}:
                connection.execute("DELETE FROM wanted_views WHERE name = ?", (name,))
            for view in listed:
                if known.get(view.name) != view.version:
                    connection.execute(
                        "INSERT OR REPLACE INTO wanted_views VALUES (?, ?, ?, ?, ?, 0)",
                        (view.name, view.version, view.sql, view.shipped, now_us),
                    )

    def wanted(self) -> list[WantedView]:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT name, version, sql, shipped, speed_ready FROM wanted_views ORDER BY name"
            ).fetchall()
        return [WantedView(name=n, version=v, sql=s, shipped=bool(h), speed_ready=bool(r)) for n, v, s, h, r in rows]

    def mark_speed_ready(self, name: str, version: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE wanted_views SET speed_ready = 1 WHERE name = ? AND version = ?", (name, version)
            )

    def add_finding(self, finding: Finding) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO findings (body) VALUES (?)", (sealed(finding),))

    def findings(self) -> list[Finding]:
        """All findings, newest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT body, acknowledged_us FROM findings ORDER BY id DESC").fetchall()
        return [
            msgspec.structs.replace(unsealed(body, Finding, self._path), acknowledged=acknowledged is not None)
            for body, acknowledged in rows
        ]

    def drift_rows(self) -> dict[str, int]:
        """View version -> state rows that differ and nobody has acknowledged."""
        totals: dict[str, int] = {}
        for finding in self.findings():
            if not finding.acknowledged:
                totals[finding.version] = totals.get(finding.version, 0) + finding.differing_rows
        return totals


def sealed(value: msgspec.Struct) -> bytes:
    """The bytes of a row's body: a mark, CRC-32 of the rest (little endian), MessagePack."""
    body = msgspec.msgpack.encode(value)
    return _SEAL + zlib.crc32(body).to_bytes(4, "little") + body


def unsealed(body: object, kind: type[T], path: Path) -> T:
    """The inverse of `sealed`; older bodies are MessagePack alone, a map. Raises Corrupt."""
    if not isinstance(body, bytes):
        raise Corrupt(str(path), f"a `{kind.__name__}` is stored as `{type(body).__name__}`")
    plain = body
    if body.startswith(_SEAL):
        plain = body[8:]
        if zlib.crc32(plain) != int.from_bytes(body[4:8], "little"):
            raise Corrupt(str(path), f"the checksum of a `{kind.__name__}` does not match its bytes")
    try:
        return msgspec.msgpack.decode(plain, type=kind)
    except msgspec.MsgspecError as error:
        raise Corrupt(str(path), f"a `{kind.__name__}` does not read: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection
