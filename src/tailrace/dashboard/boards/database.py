"""The SQLite file of what belongs to dashboards and is no file for people: older versions, annotations."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.storage_errors import translated

_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
  uid TEXT NOT NULL, n INTEGER NOT NULL, revision TEXT NOT NULL, author TEXT NOT NULL, auto INTEGER NOT NULL,
  changed_us INTEGER NOT NULL, replaced_us INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (uid, n));
CREATE TABLE IF NOT EXISTS saves (
  uid TEXT PRIMARY KEY, revision TEXT NOT NULL, author TEXT NOT NULL, auto INTEGER NOT NULL,
  saved_us INTEGER NOT NULL, burst_us INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS annotations (
  id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, until_us INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  tags TEXT NOT NULL, created_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS annotations_at ON annotations (at_us);
"""


class Database:
    """Safe in any thread. The file is made by the first use, so one that is damaged keeps no node from starting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = Connections(lambda: _open(path))
        weakref.finalize(self, self._connections.release)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Commits are on disk when they return. Raises Unavailable or Corrupt for what SQLite raises inside."""
        with translated(self.path), self._connections.one() as connection:
            yield connection


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
