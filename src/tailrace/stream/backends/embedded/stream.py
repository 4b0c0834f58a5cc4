"""The embedded stream: a folder of SQLite files a shard, for any number of appending and reading processes on one machine.

Opened by each process through `open_embedded`. Threads that write are started with a shard's first append, so that a process
that only reads or seals has none.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from threading import Lock

from tailrace.config.settings import StreamSettings
from tailrace.errors import Invalid, NotFound, Unavailable
from tailrace.model.fields import Fields
from tailrace.model.shard import Shard
from tailrace.runtime.clock import Clock
from tailrace.runtime.storage_errors import translated
from tailrace.stream.backends.embedded import reading
from tailrace.stream.backends.embedded.checkpoint import Checkpointer
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.layout import open_shards
from tailrace.stream.backends.embedded.retention import drop_files
from tailrace.stream.backends.embedded.turn import OpenFile
from tailrace.stream.backends.embedded.writer import QueueBudget, ShardWriter
from tailrace.stream.base import Appended, Block, EpochSeal, ReadRequest, ShardBatch, ShardEnd, Start


def open_embedded(
    folder: Path, settings: StreamSettings, fields: Fields, clock: Clock, *, read_only: bool = False
) -> EmbeddedStream:
    """Open the stream in `folder` (absolute), and create it unless `read_only`. Many processes may do so at once.

    A stream that exists keeps its number of shards. Raises NotFound if `read_only` and there is none, Invalid if a field has
    another type than what is stored.
    """
    with translated(folder):
        shards = open_shards(folder, settings.shards, fields, clock, read_only=read_only)
    return EmbeddedStream(folder, shards, settings, fields, clock, read_only=read_only)


class EmbeddedStream:
    """See StreamBackend. `append` encodes large batches on the caller's thread: do not call it from an event loop."""

    def __init__(
        self,
        folder: Path,
        shards: tuple[Shard, ...],
        settings: StreamSettings,
        fields: Fields,
        clock: Clock,
        *,
        read_only: bool,
    ) -> None:
        self._shards = shards
        self._settings = settings
        self._schema = fields.block_schema()
        self._clock = clock
        self._read_only = read_only
        self._files = {s.id: ShardFiles(folder / s.id, s.id, fields) for s in shards}
        self._open = {i: OpenFile(files, fields, settings, clock) for i, files in self._files.items()}
        self._budget = QueueBudget(settings.queue_bytes_max)
        self._lock = Lock()
        self._writers: dict[str, ShardWriter] = {}
        self._checkpointer: Checkpointer | None = None
        self._closed = False
        for files in self._files.values():
            with translated(files.folder):
                files.all()

    def shards(self) -> tuple[Shard, ...]:
        return self._shards

    def append(self, batch: ShardBatch) -> Future[Appended]:
        return self._writer(batch.shard_id).append(batch)

    def read(self, request: ReadRequest) -> list[Block]:
        files = self._shard(request.shard_id)
        with translated(files.folder):
            try:
                return reading.read(files, request, self._schema)
            except FileNotFoundError:
                # It has been trimmed since the folder was listed.
                files.refresh()
                return reading.read(files, request, self._schema)

    def end(self, shard_id: str) -> ShardEnd:
        files = self._shard(shard_id)
        with translated(files.folder):
            return files.end()

    def seals(self, shard_id: str, after_epoch: int = 0) -> list[EpochSeal]:
        files = self._shard(shard_id)
        with translated(files.folder):
            return files.seals(after_epoch)

    def seal(self, shard_id: str) -> EpochSeal | None:
        self._check_writable()
        with translated(self._shard(shard_id).folder):
            return self._open[shard_id].seal()

    def offset_at(self, shard_id: str, start: Start) -> int:
        files = self._shard(shard_id)
        with translated(files.folder):
            return reading.offset_at(files, start)

    def trim(self, shard_id: str, through_epoch: int, before_us: int) -> int:
        self._check_writable()
        files = self._shard(shard_id)
        with translated(files.folder):
            return drop_files(files, self._open[shard_id].lock_path, through_epoch, before_us)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            writers, self._writers = self._writers, {}
            checkpointer, self._checkpointer = self._checkpointer, None
        for writer in writers.values():
            writer.close()
        if checkpointer is not None:
            checkpointer.close()
        for files in self._files.values():
            files.release()

    def _shard(self, shard_id: str) -> ShardFiles:
        if self._closed:
            raise Unavailable("the stream is closed")
        try:
            return self._files[shard_id]
        except KeyError:
            raise NotFound(f"there is no shard `{shard_id}`", hint=f"there are {', '.join(self._files)}") from None

    def _check_writable(self) -> None:
        if self._read_only:
            raise Invalid("the stream was opened to be read only")

    def _writer(self, shard_id: str) -> ShardWriter:
        self._check_writable()
        self._shard(shard_id)
        with self._lock:
            if self._closed:
                raise Unavailable("the stream is closed")
            if shard_id not in self._writers:
                if self._checkpointer is None:
                    self._checkpointer = Checkpointer(self._locate)
                self._writers[shard_id] = ShardWriter(
                    self._open[shard_id],
                    self._schema,
                    self._settings,
                    self._clock,
                    self._budget,
                    self._checkpointer.committed,
                )
            return self._writers[shard_id]

    def _locate(self, shard_id: str) -> tuple[Path, Path]:
        return self._files[shard_id].all()[-1].path, self._open[shard_id].lock_path
