"""SQLite connections that stay open between uses: opening one costs more than most questions that are asked of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock


def open_synced(path: Path) -> sqlite3.Connection:
    """A connection that any thread may use, that begins no transaction by itself, and whose commits are on disk when they return."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class Connections:
    """Each use has a connection to itself, the one that was given back last if there is one. Thread-safe.

    `open_one` makes a connection that any thread may use.
    """

    def __init__(self, open_one: Callable[[], sqlite3.Connection]) -> None:
        self._open_one = open_one
        self._idle: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._released = False

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """Closed instead of given back if the block raises: nobody knows what state it is in."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._open_one()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if not self._released:
                self._idle.append(connection)
                return
        connection.close()

    def release(self) -> None:
        """Close what is idle now, and from now on each connection once it is given back."""
        with self._lock:
            self._released = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
