"""What dashboards were before they were saved: an SQLite file, written before the file of the dashboard is.

A process that dies between the two has kept a version that is still the current one; the next save of it does not keep it twice.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass

from tailrace.dashboard.boards.database import Database
from tailrace.dashboard.boards.read import revision_of
from tailrace.errors import Corrupt, NotFound

VERSIONS_MAX = 50
"""Of one dashboard; the oldest goes first."""
FOLD_US = 60_000_000
"""Saves that no person asked for, of one author, within so long, keep one version: that from before the first."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A save about to happen. `revision`: of the new content, empty if it is removed. `auto`: no person asked for it."""

    uid: str
    revision: str
    at_us: int
    author: str
    auto: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A content that was replaced. `n` counts up from 1, never again the same. `author`: who had written it, as far as known."""

    n: int
    revision: str
    author: str
    auto: bool
    changed_us: int
    replaced_us: int


class History:
    """Safe in any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def saving(self, saved: Saved, before: bytes | None, changed_us: int) -> None:
        """Keep `before`, which `saved` is about to replace, unless the save folds into one that has just been. Durable on return."""
        with self._database.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            last = connection.execute(
                "SELECT revision, author, auto, burst_us, n FROM saves WHERE uid = ?", (saved.uid,)
            ).fetchone()
            revision = revision_of(before) if before is not None else ""
            known = last is not None and last[0] == revision
            folds = known and saved.auto and last[2] and last[1] == saved.author and last[3] > saved.at_us - FOLD_US
            n = last[4] if last else 0
            if before is not None and not folds:
                author, auto = (last[1], last[2]) if known else ("", 0)
                n = self._keep(connection, saved, n, (revision, author, auto, changed_us), before)
            burst_us = last[3] if folds else saved.at_us
            connection.execute(
                "INSERT OR REPLACE INTO saves VALUES (?, ?, ?, ?, ?, ?, ?)",
                (saved.uid, saved.revision, saved.author, saved.auto, saved.at_us, burst_us, n),
            )
            connection.execute("COMMIT")

    def versions(self, uid: str) -> list[Version]:
        """Newest first; none for a dashboard that nobody has changed."""
        with self._database.connection() as connection:
            rows = connection.execute(
                "SELECT n, revision, author, auto, changed_us, replaced_us FROM versions WHERE uid = ? ORDER BY n DESC",
                (uid,),
            ).fetchall()
        return [Version(n, revision, author, bool(auto), *times) for n, revision, author, auto, *times in rows]

    def version(self, uid: str, n: int) -> tuple[Version, bytes]:
        """With its content. Raises NotFound, or Corrupt if that is not as it was kept."""
        found = next((version for version in self.versions(uid) if version.n == n), None)
        if found is None:
            raise NotFound(
                f"dashboard `{uid}` has no version `{n}`", hint=f"see: tailrace dashboards show {uid} --versions"
            )
        with self._database.connection() as connection:
            row = connection.execute("SELECT content FROM versions WHERE uid = ? AND n = ?", (uid, n)).fetchone()
        try:
            content = zlib.decompress(row[0])
        except (zlib.error, TypeError) as error:
            raise Corrupt(
                str(self._database.path), f"version `{n}` of dashboard `{uid}` does not read: {error}"
            ) from error
        if revision_of(content) != found.revision:
            raise Corrupt(str(self._database.path), f"version `{n}` of dashboard `{uid}` is not as it was kept")
        return found, content

    def _keep(
        self,
        connection: sqlite3.Connection,
        saved: Saved,
        n: int,
        known: tuple[str, str, int, int],
        content: bytes,
    ) -> int:
        """The number of the version; that of the newest if it is the same content."""
        newest = connection.execute(
            "SELECT n, revision FROM versions WHERE uid = ? ORDER BY n DESC LIMIT 1", (saved.uid,)
        ).fetchone()
        if newest is not None and newest[1] == known[0]:
            return max(n, int(newest[0]))
        number = max(n, int(newest[0]) if newest else 0) + 1
        connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (saved.uid, number, *known, saved.at_us, zlib.compress(content, 6)),
        )
        connection.execute("DELETE FROM versions WHERE uid = ? AND n <= ?", (saved.uid, number - VERSIONS_MAX))
        return number
