"""The writer of one shard in one process: a queue, a thread, and group commit.

`append` (any thread) encodes a large batch and queues it. The thread takes what is queued, joins small batches to one block,
takes the shard's append lock, commits, lets the lock go, and then resolves the futures. A failed commit fails its futures,
and the next one begins with a fresh connection, once what the WAL holds has been put into the file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pyarrow as pa

from tailrace.config.settings import StreamSettings
from tailrace.errors import Backpressure, InternalError, ShardClosed, TailraceError, Unavailable
from tailrace.runtime.clock import Clock
from tailrace.runtime.storage_errors import translate
from tailrace.stream.backends.embedded.commit import Committed, Draft, FileClosed, Pending, commit
from tailrace.stream.backends.embedded.dedupe import ClosedStamps, Summaries, check_dedupe
from tailrace.stream.backends.embedded.identities import identities
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.schema import connect_writer
from tailrace.stream.backends.embedded.turn import OpenFile, ShardEnded
from tailrace.stream.base import Appended, ShardBatch
from tailrace.stream.checks import BatchCheck, line_numbers
from tailrace.stream.codec import dead_count, encode, encode_raw
from tailrace.stream.hashing import hashed

SMALL_ROWS = 1024
"""Batches of fewer rows share a block with their neighbours: a block has a fixed cost to write and to read."""
BLOCK_ROWS = 8192
"""Small batches are joined up to this many rows."""


class QueueBudget:
    """Bytes that one process has queued and not yet committed, over all shards."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._used = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Raises Backpressure if it does not fit; a batch larger than the whole budget passes when nothing else is queued."""
        with self._lock:
            if self._used and self._used + size > self._bytes_max:
                raise Backpressure(
                    f"`{self._used}` bytes wait to be written, `{self._bytes_max}` may",
                    retry_after_s=1,
                    hint="send slower",
                )
            self._used += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size


class ShardWriter:
    """Group commit for one shard. `append` is thread-safe; `close` writes what is queued."""

    def __init__(
        self,
        open_file: OpenFile,
        schema: pa.Schema,
        settings: StreamSettings,
        clock: Clock,
        budget: QueueBudget,
        summaries: Summaries,
        on_commit: Callable[[str, int], None],
        on_end: Callable[[str], ShardClosed],
    ) -> None:
        """`on_commit(shard_id, bytes)` is told of each commit, on the writer's thread.

        `on_end(shard_id)`, when a commit finds the shard split or merged: returns, once the new shards are known, what to tell.
        """
        self._open_file = open_file
        self._schema = schema
        self._check = BatchCheck(schema)
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._on_commit = on_commit
        self._on_end = on_end
        self._queue: deque[Pending] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._retired = False
        self._connection: sqlite3.Connection | None = None
        self._closed_stamps = ClosedStamps(summaries)
        self._thread = threading.Thread(target=self._run, name=f"append {open_file.shard_id}", daemon=True)
        self._thread.start()

    def append(self, batch: ShardBatch) -> Future[Appended]:
        self._check(batch)
        size = batch.bytes
        self._budget.take(size)
        try:
            pending = self._prepare(batch, size)
            with self._wake:
                if self._retired:
                    raise ShardClosed(f"shard `{self._open_file.shard_id}` is closed")
                if self._closing:
                    raise Unavailable("the stream is closed")
                self._queue.append(pending)
                self._wake.notify()
        except BaseException:
            self._budget.give_back(size)
            raise
        return pending.future

    def _prepare(self, batch: ShardBatch, size: int) -> Pending:
        future: Future[Appended] = Future()
        # Queued is queued: a caller that goes away cannot cancel its batch.
        future.set_running_or_notify_cancel()
        lines = line_numbers(batch)
        known = () if batch.ids is None else identities(batch.ids.to_pylist())
        if batch.columns.num_rows >= SMALL_ROWS:
            halves = encode(batch.columns), encode_raw(batch.raw)
            dead, rows = dead_count(batch.columns), hashed(batch.columns)
            return Pending(batch, lines, dead, size, future, halves, rows, known)
        return Pending(batch, lines, dead_count(batch.columns), size, future, identities=known)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def retire(self) -> None:
        """The shard has been split or merged: the thread ends by itself. `append` raises ShardClosed from now on."""
        with self._wake:
            self._retired = self._closing = True
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while pendings := self._take():
            try:
                self._commit(pendings)
            except ShardEnded:
                self._fail(pendings, self._ended())
            except TailraceError as error:
                self._fail(pendings, error)
            except (sqlite3.Error, OSError) as error:
                self._fail(pendings, translate(error, self._open_file.lock_path.parent))
            except Exception as error:  # noqa: BLE001 - the callers get it; the thread must live on for the others
                self._fail(pendings, InternalError(f"append failed: {error!r}", hint="please report it"))
        self._disconnect()

    def _ended(self) -> TailraceError:
        try:
            return self._on_end(self._open_file.shard_id)
        except TailraceError as error:
            return error

    def _take(self) -> list[Pending]:
        """What is queued, up to one commit's worth; waits for it. Empty once the queue is closed and drained."""
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            taken: list[Pending] = []
            size = 0
            while self._queue and (not taken or size + self._queue[0].size <= self._settings.commit_bytes_max):
                taken.append(self._queue.popleft())
                size += taken[-1].size
            return taken

    def _commit(self, pendings: list[Pending]) -> None:
        drafts = _drafts(pendings, self._schema)
        with exclusive(self._open_file.lock_path):
            committed = self._commit_locked(drafts)
        self._budget.give_back(sum(p.size for p in pendings))
        for pending, appended in committed.results:
            pending.future.set_result(appended)
        self._on_commit(self._open_file.shard_id, committed.bytes)

    def _commit_locked(self, drafts: Sequence[Draft]) -> Committed:
        while True:
            connection = self._connection or self._connect_locked()
            try:
                committed = commit(connection, drafts, self._closed_stamps, self._clock.now_us(), self._schema)
                self._open_file.note_locked(committed.place)
                return committed
            except FileClosed:
                self._disconnect()

    def _connect_locked(self) -> sqlite3.Connection:
        file = self._open_file.current_locked()
        self._closed_stamps.look_in(self._open_file.horizon(self._clock.now_us()))
        connection = connect_writer(file.path)
        check_dedupe(lambda query, values: connection.execute(query, values).fetchall(), file.path.__str__)
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _fail(self, pendings: list[Pending], error: TailraceError) -> None:
        self._disconnect()
        self._open_file.doubt()
        self._budget.give_back(sum(p.size for p in pendings))
        for pending in pendings:
            pending.future.set_exception(error)


def _drafts(pendings: Sequence[Pending], schema: pa.Schema) -> list[Draft]:
    """Blocks to write, in order: a large batch is one, small neighbours share one."""
    drafts: list[Draft] = []
    rows = 0
    for pending in pendings:
        small = pending.encoded is None
        if small and drafts and drafts[-1].halves is None and rows + pending.count <= BLOCK_ROWS:
            drafts[-1].pendings.append(pending)
            rows += pending.count
        else:
            drafts.append(Draft([pending], pending.encoded, pending.hashed))
            rows = pending.count
    for draft in drafts:
        draft.complete(schema)
    return drafts
