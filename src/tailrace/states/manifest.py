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

from tailrace.errors import Conflict, Corrupt, Fenced, NotFound
from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.mark import check_mark, read_mark, write_mark
from tailrace.runtime.storage_errors import translated
from tailrace.runtime.unreadable import UNREADABLE
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
CREATE TABLE IF NOT EXISTS rolled_back (
  name TEXT PRIMARY KEY, from_version TEXT NOT NULL, version TEXT NOT NULL, sql TEXT NOT NULL, since_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS builds (
  name TEXT PRIMARY KEY, version TEXT NOT NULL, rows_done INTEGER NOT NULL, rows_all INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS holds (id TEXT PRIMARY KEY, until_us INTEGER NOT NULL, kept INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rebuilds (name TEXT PRIMARY KEY, asked_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS findings (id INTEGER PRIMARY KEY, body BLOB NOT NULL, acknowledged_us INTEGER);
"""


class ViewStates(msgspec.Struct, frozen=True, kw_only=True):
    """A view version that is served, and its batch segments. `replaced_us`: when another version took its place (0: none did).

    `absent`: records, by shard, that the lake had let go before the version was built: they are not in its states.
    `unchecked`: epochs, over all shards, of which speed had no states to compare.
    """

    name: str
    version: str
    sql: str
    segments: tuple[Segment, ...] = ()
    replaced_us: int = 0
    absent: dict[str, int] = {}
    unchecked: int = 0


class LakePin(msgspec.Struct, frozen=True, kw_only=True):
    """The lake a manifest was made from (`snapshot_id` None: nothing there yet): by shard, its rows and its last epoch.

    `let_go`: rows that it held once, and that retention has taken away.
    """

    snapshot_id: int | None = None
    rows: dict[str, int] = {}
    epochs: dict[str, int] = {}
    let_go: dict[str, int] = {}
    files: int = 0
    bytes: int = 0


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What the seals of one shard say came in, all told, in its epochs up to `epoch`; the stream may have let them go since.

    `difference`: the first range of epochs of which the lake gave batch other records than the stream had stored, or not so many.
    `unhashed`: epochs whose records' hash could not be compared: an older version stored some, or their fields have changed since.
    """

    epoch: int = 0
    stored: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0
    unhashed: int = 0
    difference: BookDifference | None = None


class BookDifference(msgspec.Struct, frozen=True, kw_only=True):
    """`expected`: records that the stream stored in these epochs; `held`: those that batch found in the lake.

    `expected_hash`, `held_hash`: the same of the records' hash, where that is what differs (16 hexadecimal digits, else empty).
    """

    epoch_first: int
    epoch_last: int
    expected: int
    held: int
    expected_hash: str = ""
    held_hash: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`frontier`: every shard -> last epoch that the batch segments cover (0: none). `views`: by name. `books`: by shard.

    `previous`: by name, the version that a view had before, carried on for a while, so that the two can be compared and swapped back.
    """

    generation: int = 0
    frontier: dict[str, int] = {}
    lake: LakePin = LakePin()
    views: dict[str, ViewStates] = {}
    books: dict[str, Book] = {}
    previous: dict[str, ViewStates] = {}

    def segment_files(self) -> set[str]:
        return {path for view in self.standing() for segment in view.segments for path in segment.paths}

    def standing(self) -> list[ViewStates]:
        """Every version that is carried on."""
        return [*self.views.values(), *self.previous.values()]


class WantedView(msgspec.Struct, frozen=True, kw_only=True):
    """A view that should be served. `speed_ready`: the speed layer holds its states above the frontier."""

    name: str
    version: str
    sql: str
    shipped: bool = False
    speed_ready: bool = False


class BuildProgress(msgspec.Struct, frozen=True):
    """How much of history a view version that is being built has read (records)."""

    name: str
    version: str
    rows_done: int
    rows_all: int


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


T = TypeVar("T", bound=msgspec.Struct)


class ManifestStore:
    """Safe in any thread and process. Each call has an SQLite connection to itself; idle ones are kept for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(lambda: open_synced(path))
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
        """Replace the list of wanted views. A view whose version is unchanged keeps its `speed_ready`.

        One that was rolled back stays so until its file asks for yet another version.
        """
        asked = list(views)
        with self._transaction() as connection:
            listed = [_unless_rolled_back(connection, view) for view in asked]
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

    def roll_back(self, name: str, now_us: int) -> ViewStates:
        """Want the version that the view had before; returns it. Once more: want the newer one again.

        Raises NotFound if there is none (any more).
        """
        before = self.current().previous.get(name)
        if before is None:
            raise NotFound(
                f"view `{name}` has no version to go back to",
                hint="a version is kept for a day after another took its place; put the old SQL into the view's file",
            )
        with self._transaction() as connection:
            row = connection.execute("SELECT version FROM wanted_views WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise NotFound(f"view `{name}` is wanted no more", hint="put its file back")
            undone = connection.execute(
                "DELETE FROM rolled_back WHERE name = ? AND from_version = ?", (name, before.version)
            ).rowcount
            if not undone:
                connection.execute(
                    "INSERT OR REPLACE INTO rolled_back VALUES (?, ?, ?, ?, ?)",
                    (name, row[0], before.version, before.sql, now_us),
                )
            connection.execute(
                "UPDATE wanted_views SET version = ?, sql = ?, wanted_us = ?, speed_ready = 1 WHERE name = ?",
                (before.version, before.sql, now_us, name),
            )
        return before

    def rolled_back(self) -> dict[str, str]:
        """View -> the version that its file asks for, and that does not answer because somebody went back."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT name, from_version FROM rolled_back").fetchall())

    def ask_rebuild(self, name: str, now_us: int) -> None:
        """Have the view's batch states computed anew from history."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO rebuilds VALUES (?, ?)", (name, now_us))

    def rebuilds(self) -> dict[str, int]:
        """View -> when its rebuild was asked for, of those that are not done yet."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT name, asked_us FROM rebuilds").fetchall())

    def building(self, progress: BuildProgress) -> None:
        """Say how far a build has come."""
        row = (progress.name, progress.version, progress.rows_done, progress.rows_all)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?)", row)

    def built(self, name: str) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM builds WHERE name = ?", (name,))

    def builds(self) -> dict[str, BuildProgress]:
        """By view, those that take more than one cycle."""
        with self._connection() as connection:
            rows = connection.execute("SELECT name, version, rows_done, rows_all FROM builds").fetchall()
        return {row[0]: BuildProgress(*row) for row in rows}

    def rebuilt(self, name: str, asked_us: int, version: str, now_us: int) -> None:
        """It is done: the view's findings are settled by it."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM rebuilds WHERE name = ? AND asked_us = ?", (name, asked_us))
            for number, body in connection.execute(
                "SELECT id, body FROM findings WHERE acknowledged_us IS NULL"
            ).fetchall():
                if unsealed(body, Finding, self._path).version == version:
                    connection.execute("UPDATE findings SET acknowledged_us = ? WHERE id = ?", (now_us, number))

    def hold(self, hold_id: str, until_us: int) -> None:
        """Ask the batch process to stand still until then; called again, it lasts longer."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO holds (id, until_us) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET until_us = excluded.until_us",
                (hold_id, until_us),
            )

    def release(self, hold_id: str) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM holds WHERE id = ?", (hold_id,))

    def hold_is_kept(self, hold_id: str) -> bool:
        """Whether the batch process has said that it stands still."""
        with self._connection() as connection:
            row = connection.execute("SELECT kept FROM holds WHERE id = ?", (hold_id,)).fetchone()
        return row is not None and bool(row[0])

    def keep_holds(self, now_us: int) -> bool:
        """Called by batch before each cycle: whether it has to stand still, which is then known to who asked for it."""
        with self._connection() as connection:
            if connection.execute("SELECT 1 FROM holds LIMIT 1").fetchone() is None:
                return False
        with self._transaction() as connection:
            connection.execute("DELETE FROM holds WHERE until_us < ?", (now_us,))
            return connection.execute("UPDATE holds SET kept = 1").rowcount > 0

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


def _unless_rolled_back(connection: sqlite3.Connection, view: WantedView) -> WantedView:
    row = connection.execute(
        "SELECT from_version, version, sql FROM rolled_back WHERE name = ?", (view.name,)
    ).fetchone()
    if row is None:
        return view
    if row[0] != view.version:
        connection.execute("DELETE FROM rolled_back WHERE name = ?", (view.name,))
        return view
    return msgspec.structs.replace(view, version=row[1], sql=row[2])


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
    except UNREADABLE as error:
        raise Corrupt(str(path), f"a `{kind.__name__}` does not read: {error}") from error
