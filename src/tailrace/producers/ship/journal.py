"""What `ship` must not forget: how far each file was read, and which bytes are on the way under which stamp. One SQLite file.

A post is written here, and synced, before it is sent for the first time. Whatever ends the process then, the next one sends the
same bytes again under the same stamp, and the node stores them once. Numbers of posts are never given twice: `next_n` is raised
in the transaction that names the post.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tailrace.errors import Conflict, Corrupt, Invalid, Newer, Unavailable
from tailrace.runtime.connections import open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.ids import unique_id

FILE_NAME = "ship.db"
VERSION = 1
_SCHEMA = """
CREATE TABLE meta (url TEXT, producer TEXT, inode TEXT, next_n INTEGER, version INTEGER);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, base TEXT, path TEXT, device TEXT, inode TEXT, head BLOB, tail BLOB, "offset" INTEGER, crc INTEGER,
    crc_from INTEGER, aside INTEGER
);
CREATE TABLE posts (
    stamp TEXT PRIMARY KEY, file INTEGER, start INTEGER, "end" INTEGER, crc_before INTEGER, crc_after INTEGER, params TEXT
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class FileRow:
    """`base`: the path that was asked for. `path`: where the file was last seen. `head`, `tail`: its first bytes, and those before
    `offset`. All before `offset` is acknowledged or in a post. `crc`: of the bytes from `crc_from` to `offset`.
    `aside`: rotation has put it aside."""

    id: int
    base: str
    path: str
    device: int
    inode: int
    head: bytes
    tail: bytes
    offset: int
    crc: int
    crc_from: int
    aside: bool


@dataclass(frozen=True, slots=True)
class PostRow:
    """Bytes `start` to `end` of a file. Their CRC-32 going on from `crc_before` is `crc_after`. `params`: of the address, JSON."""

    stamp: str
    file: int
    start: int
    end: int
    crc_before: int
    crc_after: int
    params: str


class Journal:
    """Used by one thread; one process has it at a time."""

    def __init__(self, folder: Path, url: str) -> None:
        """Raises Conflict if another process has it, Invalid if it belongs to another node, Unavailable, Corrupt or Newer."""
        self.folder = folder
        self._path = folder / FILE_NAME
        try:
            make_folder(folder)
            self._lock = _locked(folder)
        except OSError as error:
            raise Unavailable(
                f"`{folder}` cannot be written: {error}", hint="name another folder with --state"
            ) from error
        try:
            self._db = open_synced(self._path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self.producer, self.next_n = self._begin(url)
            self._own_inode = self._inode()
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise Corrupt(
                str(self._path), str(error), hint="remove it to ship the files anew; then lines may be sent twice"
            ) from error
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self, url: str) -> tuple[str, int]:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                values = (url, f"ship-{unique_id()}", self._inode(), 0, VERSION)
                self._db.execute("INSERT INTO meta VALUES (?, ?, ?, ?, ?)", values)
        known_url, producer, inode, next_n, version = self._db.execute("SELECT * FROM meta").fetchone()
        if version != VERSION:
            raise Newer(f"`{self._path}` is of version `{version}`", hint="go on with that version of Tailrace")
        if known_url != url:
            raise Invalid(
                f"`{self.folder}` says what was shipped to `{known_url}`, not to `{url}`",
                hint="name another folder with --state",
            )
        if inode != self._inode():
            # A copy, or restored: another process may go on with the same numbers. Posts on the way keep the stamps they have.
            producer, next_n = f"ship-{unique_id()}", 0
            self._db.execute("UPDATE meta SET producer = ?, inode = ?, next_n = 0", (producer, self._inode()))
        return producer, next_n

    def _inode(self) -> str:
        found = self._path.stat()
        return f"{found.st_dev}:{found.st_ino}"

    def files(self) -> list[FileRow]:
        rows = self._db.execute("SELECT * FROM files ORDER BY id").fetchall()
        return [replace(FileRow(*row), device=int(row[3]), inode=int(row[4]), aside=bool(row[10])) for row in rows]

    def posts(self) -> list[PostRow]:
        """Those that may be on the way, in the order in which they were read."""
        return [PostRow(*row) for row in self._db.execute("SELECT * FROM posts ORDER BY file, start").fetchall()]

    def stamp(self) -> str:
        """The next one; durable with the next `write`."""
        self.next_n += 1
        return f"{self.producer};1;{self.next_n - 1}"

    def write(
        self,
        *,
        files: Sequence[FileRow] = (),
        planned: Sequence[PostRow] = (),
        done: Sequence[str] = (),
        forgotten: Sequence[int] = (),
    ) -> None:
        """All of it, on disk on return. `done`: stamps of posts that need not be sent again. Raises Unavailable, if it is gone too."""
        self._check_there()
        marks = ", ".join("?" * 11)
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                rows = [
                    (f.id, f.base, f.path, str(f.device), str(f.inode), f.head, f.tail, f.offset, f.crc, f.crc_from,
                     f.aside) for f in files
                ]  # fmt: skip
                self._db.executemany(f"INSERT OR REPLACE INTO files VALUES ({marks})", rows)
                self._db.executemany("DELETE FROM posts WHERE stamp = ?", [(stamp,) for stamp in done])
                self._db.executemany(
                    "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(p.stamp, p.file, p.start, p.end, p.crc_before, p.crc_after, p.params) for p in planned],
                )
                self._db.executemany("DELETE FROM files WHERE id = ?", [(each,) for each in forgotten])
                self._db.execute("UPDATE meta SET next_n = ?", (self.next_n,))
        except sqlite3.OperationalError as error:
            raise Unavailable(
                f"`{self._path}` cannot be written: {error}",
                hint="nothing was sent that is not written there; make room",
            ) from error

    def _check_there(self) -> None:
        """SQLite goes on writing into a file that was removed, which nobody would find again."""
        try:
            if self._inode() == self._own_inode:
                return
        except OSError:
            pass
        raise Unavailable(
            f"`{self._path}` was removed or replaced while `ship` was running",
            hint="what was shipped stands nowhere now: start again with --from-end, or all lines are sent once more",
        )

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)


def _locked(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Conflict(
            f"another `tailrace ship` uses `{folder}`", hint="give this one a folder of its own with --state"
        ) from None
    return handle
