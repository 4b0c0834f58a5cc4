"""The embedded stream: a folder of SQLite files a shard, for any number of appending and reading processes on one machine.

Opened by each process through `open_embedded`. Threads that write are started with a shard's first append, so that a process
that only reads or seals has none.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from threading import Lock

from tailrace.config.settings import StreamSettings
from tailrace.errors import Invalid, ShardClosed, Unavailable
from tailrace.model.fields import Fields
from tailrace.model.shard import Shard
from tailrace.runtime.clock import Clock
from tailrace.runtime.storage_errors import translated
from tailrace.stream.backends.embedded import reading
from tailrace.stream.backends.embedded.checkpoint import Checkpointer
from tailrace.stream.backends.embedded.dedupe import Summaries
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.layout import ensure_stream
from tailrace.stream.backends.embedded.layout_file import Layout, LayoutFile
from tailrace.stream.backends.embedded.resharding import Resharding
from tailrace.stream.backends.embedded.retention import drop_files
from tailrace.stream.backends.embedded.turn import OpenFile
from tailrace.stream.backends.embedded.writer import QueueBudget, ShardWriter
from tailrace.stream.base import Appended, Block, EpochSeal, ReadRequest, Resharded, ShardBatch, ShardEnd, Start
from tailrace.stream.resharding import closed_shard, no_shard, open_shard


def open_embedded(
    folder: Path, settings: StreamSettings, fields: Fields, clock: Clock, *, read_only: bool = False
) -> EmbeddedStream:
    """Open the stream in `folder` (absolute), and create it unless `read_only`. Many processes may do so at once.

    A stream that exists keeps its number of shards. Raises NotFound if `read_only` and there is none.
    """
    with translated(folder):
        ensure_stream(folder, settings.shards, fields, clock, read_only=read_only)
        return EmbeddedStream(folder, settings, fields, clock, read_only=read_only)


class EmbeddedStream:
    """See StreamBackend. `append` encodes large batches on the caller's thread: do not call it from an event loop."""

    def __init__(
        self, folder: Path, settings: StreamSettings, fields: Fields, clock: Clock, *, read_only: bool
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._fields = fields
        self._schema = fields.block_schema()
        self._clock = clock
        self._read_only = read_only
        self._layout_file = LayoutFile(folder)
        self._layout = Layout(())
        self._resharding = Resharding(self._layout_file, self._open_file, fields, clock)
        self._files: dict[str, ShardFiles] = {}
        self._open: dict[str, OpenFile] = {}
        self._budget = QueueBudget(settings.queue_bytes_max)
        self._summaries = Summaries()
        self._lock = Lock()
        self._writers: dict[str, ShardWriter] = {}
        self._retired: list[ShardWriter] = []
        self._checkpointer: Checkpointer | None = None
        self._closed = False
        if self._layout_now().pending is not None and not read_only:
            self._settle()
        for files in self._files.values():
            with translated(files.folder):
                files.all()

    def shards(self) -> tuple[Shard, ...]:
        return self._layout_now().shards

    def append(self, batch: ShardBatch) -> Future[Appended]:
        try:
            return self._writer(batch.shard_id).append(batch)
        except ShardClosed as error:
            failed: Future[Appended] = Future()
            failed.set_exception(error)
            return failed

    def split(self, shard_id: str, at: int | None = None) -> Resharded:
        self._check_writable()
        with translated(self._folder):
            done = self._resharding.split(shard_id, at)
        self._layout_now()
        return done

    def merge(self, shard_id: str, adjacent_id: str) -> Resharded:
        self._check_writable()
        with translated(self._folder):
            done = self._resharding.merge(shard_id, adjacent_id)
        self._layout_now()
        return done

    def read(self, request: ReadRequest) -> list[Block]:
        files = self._shard(request.shard_id)
        with translated(files.folder):
            try:
                return reading.read(files, request, self._fields)
            except FileNotFoundError:
                # It has been trimmed since the folder was listed.
                files.refresh()
                return reading.read(files, request, self._fields)

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
            if self._layout_now().pending is not None:
                self._settle()
            return self._open[shard_id].seal()

    def offset_at(self, shard_id: str, start: Start) -> int:
        files = self._shard(shard_id)
        with translated(files.folder):
            return reading.offset_at(files, start)

    def trim(self, shard_id: str, through_epoch: int, before_us: int, bytes_max: int | None = None) -> int:
        self._check_writable()
        files = self._shard(shard_id)
        with translated(files.folder):
            return drop_files(files, self._open[shard_id], through_epoch, before_us, bytes_max)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            writers = [*self._writers.values(), *self._retired]
            self._writers, self._retired = {}, []
            checkpointer, self._checkpointer = self._checkpointer, None
        for writer in writers:
            writer.close()
        if checkpointer is not None:
            checkpointer.close()
        for files in self._files.values():
            files.release()

    # -- the layout ----------------------------------------------------------------------------------------------

    def _layout_now(self) -> Layout:
        """As it stands; what it names that was not known before is taken in."""
        if self._closed:
            raise Unavailable("the stream is closed")
        with translated(self._layout_file.path):
            layout = self._layout_file.current()
        if layout is not self._layout:
            self._take_in(layout)
        return layout

    def _take_in(self, layout: Layout) -> None:
        with self._lock:
            for shard in layout.shards:
                if shard.id not in self._files:
                    files = ShardFiles(self._folder / shard.id, shard.id)
                    parents = tuple(self._open[parent] for parent in shard.parents)
                    self._open[shard.id] = OpenFile(files, self._fields, self._settings, self._clock, parents)
                    self._files[shard.id] = files
                if shard.closed and (writer := self._writers.pop(shard.id, None)) is not None:
                    writer.retire()
                    self._retired.append(writer)
            self._retired = [writer for writer in self._retired if writer.alive]
            self._layout = layout

    def _settle(self) -> None:
        """Return once no split or merge is half done: another process is at it, or was when it died."""
        with translated(self._folder):
            self._resharding.settle()
        self._layout_now()

    def _shard_ended(self, shard_id: str) -> ShardClosed:
        self._settle()
        return closed_shard(self.shards(), shard_id)

    def _open_file(self, shard_id: str) -> OpenFile:
        self._shard(shard_id)
        return self._open[shard_id]

    def _shard(self, shard_id: str) -> ShardFiles:
        if self._closed:
            raise Unavailable("the stream is closed")
        if shard_id not in self._files and shard_id not in (s.id for s in self._layout_now().shards):
            raise no_shard(self.shards(), shard_id)
        return self._files[shard_id]

    def _check_writable(self) -> None:
        if self._read_only:
            raise Invalid("the stream was opened to be read only")

    # -- writing -------------------------------------------------------------------------------------------------

    def _writer(self, shard_id: str) -> ShardWriter:
        """Raises ShardClosed if the shard is known to be closed."""
        self._check_writable()
        self._shard(shard_id)
        if shard_id not in self._writers:
            open_shard(self._layout_now().shards, shard_id)
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
                    self._summaries,
                    self._checkpointer.committed,
                    self._shard_ended,
                )
            return self._writers[shard_id]

    def _locate(self, shard_id: str) -> tuple[Path, Path]:
        return self._files[shard_id].all()[-1].path, self._open[shard_id].lock_path
