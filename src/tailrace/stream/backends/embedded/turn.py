"""The open file of a shard: finding it, closing it, and beginning the next.

Called by the writer and the sealer, both under the shard's append lock. Closing a file is one transaction in it; making the
next is one rename in the folder; whoever comes next after a crash between the two makes it. A split or a merge closes the last one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from tailrace.config.settings import StreamSettings
from tailrace.model.fields import Fields
from tailrace.model.record_hash import NO_RECORDS
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import sync_folder
from tailrace.runtime.mark import Place, write_mark
from tailrace.stream.backends.embedded.checkpoint import settle_locked
from tailrace.stream.backends.embedded.file import ShardFile
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.layout import create_generation
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.rows import FileState, insert_epoch, select_state, update_state
from tailrace.stream.backends.embedded.schema import CLOSED, ENDED, OPEN, connect_writer
from tailrace.stream.base import EpochSeal, LedgerCounts

LOCK_FILE = "append.lock"


class ShardEnded(Exception):
    """The shard has been split or merged: it has no open file any more. Never leaves the backend."""


class OpenFile:
    """A shard's open file, for one process. Methods ending in `_locked` need the append lock."""

    def __init__(
        self,
        files: ShardFiles,
        fields: Fields,
        settings: StreamSettings,
        clock: Clock,
        parents: tuple[OpenFile, ...] = (),
    ) -> None:
        """`parents`: those of the shards that this one descends from directly."""
        self._parents = parents
        self._files = files
        self._fields = fields
        self._settings = settings
        self._clock = clock
        self._sure_of = -1
        self._first_seen: tuple[int, float] = (-1, 0.0)

    @property
    def shard_id(self) -> str:
        return self._files.shard_id

    @property
    def lock_path(self) -> Path:
        return self._files.folder / LOCK_FILE

    def current_locked(self) -> ShardFile:
        """The open file, settled; made now if the process that closed the last one died before it made the next.

        Raises ShardEnded.
        """
        files, state = self._files.current()
        if state.ended:
            raise ShardEnded
        if state.closed:
            self._create_next(files[-1], state)
            files = self._files.all()
        self._settle_locked(files[-1])
        return files[-1]

    def _settle_locked(self, file: ShardFile) -> None:
        """Return once the file's name, and all that is committed in it, is on disk for certain."""
        if file.about.generation != self._sure_of:
            # Its maker may have died between naming it and making the name durable.
            sync_folder(self._files.folder)
            settle_locked(file.path, self._clock)
            self._sure_of = file.about.generation

    def note_locked(self, place: Place) -> None:
        """So far the shard has got, for certain. What cannot be noted is no reason to deny what is on disk."""
        with suppress(OSError):
            write_mark(self._files.folder, place)

    def doubt(self) -> None:
        """A write or a sync has failed: settle the file again before the next."""
        self._sure_of = -1

    def _create_next(self, file: ShardFile, state: FileState, *, ended: bool = False) -> None:
        create_generation(
            self._files.folder,
            self.shard_id,
            file.about.generation + 1,
            first_offset=state.next_offset,
            first_epoch=state.open_epoch,
            deduplicated=state.counts.deduplicated,
            created_at_us=self._clock.now_us(),
            fields=self._fields,
            ended_at_us=state.closed_at_us if ended else None,
        )
        self._files.refresh()

    def leave_end_locked(self) -> bool:
        """If the shard has ended, and lines stand in its newest file: make an empty one that says the same end. Whether it did.

        On return it is on disk, so that the file before it may go. The trim that dies between the two leaves that to the next.
        """
        files, state = self._files.current()
        if not state.ended or files[-1].about.first_offset == state.next_offset:
            return False
        self._create_next(files[-1], state, ended=True)
        return True

    def remembers_since_us(self) -> int:
        """What was closed before is not remembered any more."""
        return self._clock.now_us() - self._settings.dedupe_horizon_s * 1_000_000

    def horizon(self, now_us: int) -> tuple[ShardFile, ...]:
        """Closed files in which deduplication looks, and what is left of those let go: of this shard, and of those it descends from.

        By their age, and by their number along each line of descent, as the clock may have stepped.
        """
        since_us = now_us - self._settings.dedupe_horizon_s * 1_000_000
        least = -(-self._settings.dedupe_horizon_s // max(self._settings.file_interval_s, 1)) + 1
        missing = {self: least}
        found: list[ShardFile] = []
        # A shard's number is greater than those of its parents: none is looked at before all that descend from it.
        while missing:
            newest = max(missing, key=lambda part: part.shard_id)
            count = missing.pop(newest)
            closed = newest._closed()
            recent = len(closed) - count
            found += [f for i, f in enumerate(closed) if i >= recent or f.state().closed_at_us >= since_us]
            for parent in newest._parents:
                missing[parent] = max(missing.get(parent, 0), count - len(closed))
        return tuple(found)

    def _closed(self) -> list[ShardFile]:
        """Closed files of the shard, ascending; in place of one that was let go, what is left of it.

        Those that stand are asked for first: one that another process lets go meanwhile is in both, never in neither.
        """
        standing = {file.about.generation: file for file in self._files.closed()}
        left = {file.about.generation: file for file in self._files.remembered()}
        return [file for _, file in sorted((left | standing).items())]

    @property
    def ended(self) -> bool:
        return self._files.current()[1].ended

    def last_epoch(self) -> int:
        """The epoch with which the shard has ended, or would if it did now."""
        state = self._files.current()[1]
        return state.open_epoch - (state.next_offset == state.open_first_offset)

    def end_locked(self) -> None:
        """Seal the open epoch and let nothing follow, in one transaction. If that has been done, only make sure of it."""
        files, state = self._files.current()
        if state.ended:
            self._settle_locked(files[-1])
            return
        with closing(connect_writer(self.current_locked().path)) as connection:
            self._seal_locked(connection, ENDED)

    def _seal_locked(self, connection: sqlite3.Connection, close: int) -> EpochSeal | None:
        """`seal_transaction`, and a note of how far the shard has got."""
        try:
            sealed = seal_transaction(connection, self.shard_id, self._clock.now_us(), close=close)
        except BaseException:
            self.doubt()
            raise
        if sealed is not None:
            self.note_locked((sealed.last_offset + 1, sealed.epoch + 1))
        return sealed

    def checkpoint(self) -> None:
        """Copy the WAL of the newest file into it, so that none is left."""
        with closing(connect_writer(self._files.all()[-1].path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def seal(self) -> EpochSeal | None:
        """Close the open epoch if it holds lines, and the file if its time has come."""
        files, state = self._files.current()
        empty = state.next_offset == state.open_first_offset
        if state.ended:
            return None
        if empty and not state.closed and not self._turn_due(files[-1], state):
            return None
        with exclusive(self.lock_path):
            try:
                file = self.current_locked()
            except ShardEnded:
                return None
            with closing(connect_writer(file.path)) as connection:
                turn = self._turn_due(file, file.state())
                sealed = self._seal_locked(connection, CLOSED if turn else OPEN)
            if turn:
                self.current_locked()
        if turn:
            with closing(connect_writer(file.path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return sealed

    def _turn_due(self, file: ShardFile, state: FileState) -> bool:
        """Whether the open file has lines and has been open for long enough, by the wall or by this process's own clock.

        Either may be wrong alone: the wall clock may step back, and this process may have begun a moment ago.
        """
        now_s = self._clock.monotonic_s()
        if self._first_seen[0] != file.about.generation:
            self._first_seen = (file.about.generation, now_s)
        if state.next_offset == file.about.first_offset:
            return False
        interval_s = self._settings.file_interval_s
        return (
            now_s - self._first_seen[1] >= interval_s
            or self._clock.now_us() - file.about.created_at_us >= interval_s * 1_000_000
        )


def seal_transaction(connection: sqlite3.Connection, shard_id: str, now_us: int, *, close: int) -> EpochSeal | None:
    """In one transaction: write the open epoch's row and raise the counter (if it holds lines), and close the file if asked.

    `close`: OPEN, CLOSED or ENDED, what the file is to be.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        state = select_state(connection)
        sealed = None
        if state.next_offset > state.open_first_offset:
            last = state.next_offset - 1
            sealed = EpochSeal(
                shard_id, state.open_epoch, state.open_first_offset, last, now_us, state.counts, state.hash
            )
            insert_epoch(connection, sealed, state.open_arrived_max_us, summed=state.summed, hashed=state.hashed)
            state = replace(
                state,
                open_epoch=state.open_epoch + 1,
                open_first_offset=state.next_offset,
                counts=LedgerCounts(),
                hash=NO_RECORDS,
                open_arrived_max_us=0,
            )
        if close != OPEN:
            state = replace(state, closed=True, closed_at_us=now_us, ended=close == ENDED)
        update_state(connection, state)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return sealed
