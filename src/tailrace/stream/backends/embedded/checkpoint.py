"""Moving committed pages from the WALs into the files, beside the appends instead of inside them.

One thread a process. Writers tell it what they commit; past `CHECKPOINT_BYTES` it copies, without holding anybody up. A writer
begins the WAL anew when it finds all of it copied, which under steady load it hardly ever is; so past `WAL_BYTES_MAX` the
little that has come in during the copy is copied under the shard's append lock. Once no commit has come for `QUIET_S`, the WALs are
copied to their ends and given back to the disk.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tailrace.errors import TailraceError, Unavailable
from tailrace.runtime.clock import Clock
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.schema import BUSY_TIMEOUT_MS, PAGE_BYTES, connect_writer

LOG = logging.getLogger(__name__)

CHECKPOINT_BYTES = 8 << 20
WAL_BYTES_MAX = 16 << 20
QUIET_S = 10.0


class Checkpointer:
    """`committed` is thread-safe and returns at once; `close` ends the thread."""

    def __init__(self, locate: Callable[[str], tuple[Path, Path]]) -> None:
        """`locate(shard_id)`: the path of the open file, and that of the shard's append lock."""
        self._locate = locate
        self._wake = threading.Condition()
        self._written: dict[str, int] = {}
        self._unsettled: set[str] = set()
        self._quiet = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def committed(self, shard_id: str, size: int) -> None:
        """One commit, by which the WAL has grown by about `size` bytes."""
        with self._wake:
            written = self._written[shard_id] = self._written.get(shard_id, 0) + size
            first = not self._unsettled
            self._unsettled.add(shard_id)
            self._quiet = False
            if first or written >= CHECKPOINT_BYTES:
                self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            shard_id, work = due
            try:
                work(*self._locate(shard_id))
            except (sqlite3.Error, OSError, TailraceError) as error:
                # Nothing is lost: the WAL keeps it all, and the next commits ask again.
                LOG.warning("checkpoint of shard %s failed: %s", shard_id, error)

    def _next(self) -> tuple[str, Callable[[Path, Path], None]] | None:
        """A shard, and what is to be done with it; waits for one. None once closed."""
        with self._wake:
            while not self._closing:
                for shard_id, written in self._written.items():
                    if written >= CHECKPOINT_BYTES:
                        self._written[shard_id] = 0
                        return shard_id, checkpoint
                if self._unsettled and self._quiet:
                    return self._unsettled.pop(), empty
                # Commits that come during the wait say that it is not quiet, most without waking it.
                self._quiet = True
                if self._wake.wait(QUIET_S if self._unsettled else None):
                    self._quiet = False
            return None


def checkpoint(path: Path, lock_path: Path) -> None:
    """Copy what the WAL of `path` holds into it; once the WAL is long, to its very end, so that writers begin it anew."""
    with closing(connect_writer(path)) as connection:
        if _copy(connection) * PAGE_BYTES <= WAL_BYTES_MAX:
            return
        with exclusive(lock_path):
            _copy(connection)


def empty(path: Path, lock_path: Path) -> None:
    """Copy all of the WAL and give its room back, unless somebody is reading it or copying: then it stays as it is."""
    with exclusive(lock_path), closing(connect_writer(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def settle_locked(path: Path, clock: Clock) -> None:
    """Copy all that the WAL of `path` holds into it and empty the WAL, so that nothing stands on how the WAL came to be.

    A sync that failed leaves its pages in the cache, clean, and perhaps not on the disk; whoever opens the file next finds them
    and cannot know. Copied, every byte is written and synced anew. For those who begin to write, or begin again; the caller holds
    the append lock. Raises Unavailable if another process reads or copies the WAL all the time.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return
    deadline_s = clock.monotonic_s() + BUSY_TIMEOUT_MS / 1000
    with closing(connect_writer(path)) as connection:
        # SQLite waits for readers by itself, and not for another copy under way.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if clock.monotonic_s() >= deadline_s:
                raise Unavailable(f"the write-ahead log of `{path}` stays in use", hint="send it again")
            clock.sleep(0.01)


def _copy(connection: sqlite3.Connection) -> int:
    """Copy without waiting for anybody. Returns the pages in the WAL; -1 if another process is copying."""
    _, wal_pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(wal_pages)
