"""The bytes of one file by position, plain or gzip; of a gzip file the positions are those of what it holds."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Unavailable

HEAD_BYTES = 1024
TAIL_BYTES = 64
_GZIP = b"\x1f\x8b"
_STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Inode:
    """Names a file as long as it exists; afterwards the number may be given to another."""

    device: int
    number: int


class Source:
    """An open file. `gz`: whether it is gzip, told by its first bytes. Holding it open keeps a deleted file readable.

    `kept`: somebody reads from it and will close it.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.path = path
        self.kept = False
        self.gz = os.pread(self._handle, 2, 0) == _GZIP
        self._packed = None if not self.gz else os.fdopen(os.dup(self._handle), "rb")
        self._unzipped: gzip.GzipFile | None = None

    @property
    def inode(self) -> Inode:
        found = os.fstat(self._handle)
        return Inode(found.st_dev, found.st_ino)

    @property
    def stored_bytes(self) -> int:
        """As it stands on disk; of a gzip file, compressed."""
        return os.fstat(self._handle).st_size

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`; fewer at the end only. Raises Unavailable if a gzip file is damaged or not whole yet."""
        if not self.gz:
            return os.pread(self._handle, size, start)
        try:
            return self._gunzipped(start, size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self._unzipped = None
            raise Unavailable(f"`{self.path}` is not whole: {error}", hint="it is read once it is") from error

    def crc(self, start: int, end: int, seed: int = 0) -> int | None:
        """CRC-32 of the bytes from `start` to `end`, going on from `seed`; None if the file has not as many."""
        while start < end:
            part = self.read(start, min(_STEP_BYTES, end - start))
            if not part:
                return None
            seed = zlib.crc32(part, seed)
            start += len(part)
        return seed

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._packed is not None:
            self._packed.close()

    def data_start(self) -> int:
        """Where a hole at the beginning ends. Raises OSError if all of it is one."""
        return os.lseek(self._handle, 0, os.SEEK_DATA)

    def _gunzipped(self, start: int, size: int) -> bytes:
        if self._unzipped is None:
            assert self._packed is not None, "only gzip is read so"
            self._packed.seek(0)
            self._unzipped = gzip.GzipFile(fileobj=self._packed)
        self._unzipped.seek(start)
        return self._unzipped.read(size)


def first_after_hole(source: Source) -> int:
    """Where text begins in a file that was truncated under a writer that goes on at its old place: the rest before is a hole."""
    if source.gz or source.read(0, 1) != b"\0":
        return 0
    try:
        start = source.data_start()
    except OSError:
        return 0
    while (part := source.read(start, _STEP_BYTES)) and not part.strip(b"\0"):
        start += len(part)
    return start + len(part) - len(part.lstrip(b"\0"))
