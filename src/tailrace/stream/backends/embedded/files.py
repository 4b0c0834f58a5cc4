"""The files of one shard in order: which there are, which holds an offset, where the shard begins and ends.

Called by the reader, the writer and the sealer of a shard, each from its own thread. The folder is listed again only when it
has changed, or when the newest known file turns out to be closed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Lock

from tailrace.errors import Corrupt, GapFound, Trimmed
from tailrace.runtime.mark import check_mark, read_mark
from tailrace.stream.backends.embedded.file import ShardFile
from tailrace.stream.backends.embedded.layout import generation_path, generations, remembered
from tailrace.stream.backends.embedded.rows import FileState
from tailrace.stream.base import EpochSeal, ShardEnd


class ShardFiles:
    """All generations of a shard that are kept. Thread-safe."""

    def __init__(self, folder: Path, shard_id: str) -> None:
        self.folder = folder
        self.shard_id = shard_id
        self._lock = Lock()
        self._files: tuple[ShardFile, ...] = ()
        self._remembered: tuple[ShardFile, ...] = ()
        self._seen_mtime_ns = -1

    def current(self) -> tuple[tuple[ShardFile, ...], FileState]:
        """All files, ascending, and the state of the newest.

        That one is open, unless its writer died as it turned to the next, or the shard has ended.
        """
        if os.stat(self.folder).st_mtime_ns != self._seen_mtime_ns or not self._files:
            self.refresh()
        files = self._files
        state = files[-1].state()
        if state.closed and not state.ended:
            self.refresh()
            files = self._files
            state = files[-1].state()
        return files, state

    def all(self) -> tuple[ShardFile, ...]:
        return self.current()[0]

    def refresh(self) -> None:
        """List the folder; open what is new, release what has been trimmed."""
        with self._lock:
            mtime_ns = os.stat(self.folder).st_mtime_ns
            mark = read_mark(self.folder)  # before the files: they only ever get further
            known = {f.about.generation: f for f in self._files}
            files = self._list(known)
            if not files or _first_gap(files) is not None:
                # A listing is no snapshot: while the oldest files are being dropped it may show a hole that is none.
                files = self._list(known)
            gap = _first_gap(files)
            if gap is not None:
                raise GapFound(self.shard_id, *gap)
            if not files:
                raise Corrupt(str(self.folder), "it holds no file of the shard")
            for closed in files[:-1]:
                closed.state()
            state = files[-1].state()
            check_mark(mark, (state.next_offset, state.open_epoch), files[-1].path)
            # After the files: a file is remembered before it goes. And told before them, so that whoever asks for both finds it.
            self._remembered = self._list_remembered()
            self._files = tuple(files)
            # A change within one tick of the file system's clock does not show. Only a trim by another process can be
            # missed that way, until the folder changes again: a turn shows in the newest file's state.
            self._seen_mtime_ns = mtime_ns
            for gone in known.keys() - {f.about.generation for f in files}:
                known[gone].release()

    def _list(self, known: dict[int, ShardFile]) -> list[ShardFile]:
        files = [known.get(n) or self._open(n) for n in generations(self.folder)]
        return [f for f in files if f is not None]

    def _list_remembered(self) -> tuple[ShardFile, ...]:
        known = {file.path: file for file in self._remembered}
        paths = remembered(self.folder)
        for gone in known.keys() - set(paths):
            known[gone].release()
        found = []
        for path in paths:
            with suppress(FileNotFoundError):  # another process may have removed it just now
                file = known.get(path) or ShardFile(path, self.shard_id)
                file.state()  # closed, so that it keeps no connection
                found.append(file)
        return tuple(found)

    def remembered(self) -> tuple[ShardFile, ...]:
        """What deduplication remembers of files that were let go, ascending: their stamps alone."""
        self.current()
        return self._remembered

    def _open(self, generation: int) -> ShardFile | None:
        path = generation_path(self.folder, generation)
        try:
            return ShardFile(path, self.shard_id)
        except FileNotFoundError:
            return None

    def closed(self) -> tuple[ShardFile, ...]:
        """Those that never change again, ascending: all but the open one, and that too once the shard has ended."""
        files, state = self.current()
        return files if state.ended else files[:-1]

    def holding(self, offset: int) -> tuple[ShardFile, ...]:
        """The file that holds `offset`, or will, and all after it. Raises Trimmed if the offset is older than what is kept."""
        files = self.all()
        if offset < files[0].about.first_offset:
            raise Trimmed(self.shard_id, offset, files[0].about.first_offset)
        start = max(i for i, f in enumerate(files) if f.about.first_offset <= offset)
        return files[start:]

    def end(self) -> ShardEnd:
        files, state = self.current()
        return ShardEnd(
            state.next_offset,
            state.open_epoch,
            state.counts,
            files[0].about.first_offset,
            sum(f.size_bytes() for f in files),
            state.hash,
        )

    def seals(self, after_epoch: int) -> list[EpochSeal]:
        files = self.all()
        found: list[EpochSeal] = []
        for file, follower in zip(files, (*files[1:], None), strict=True):
            if follower is None or follower.about.first_epoch > after_epoch + 1:
                found.extend(file.seals(after_epoch))
        return found

    def release(self) -> None:
        with self._lock:
            files, self._files = (*self._files, *self._remembered), ()
            self._remembered = ()
            self._seen_mtime_ns = -1
        for file in files:
            file.release()


def _first_gap(files: list[ShardFile]) -> tuple[int, int] | None:
    """First and last offset that a missing file between the first and the last must have held."""
    for file, follower in pairwise(files):
        if follower.about.generation != file.about.generation + 1:
            return file.state().next_offset, follower.about.first_offset - 1
    return None
