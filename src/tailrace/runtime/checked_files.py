"""Immutable files whose bytes are compared with a checksum when they are first opened, and again if they have changed since."""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from tailrace.errors import Corrupt

REMEMBERED_MAX = 100_000
_CHUNK_BYTES = 1 << 20


class CheckedFiles:
    """Remembers which files were found whole. Thread-safe."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Path, tuple[int, int, int]] = OrderedDict()
        self._lock = Lock()

    def check(self, path: Path, checksum: int | None) -> None:
        """Raises Corrupt unless the CRC-32 of the file is `checksum`; None: the file is older than checksums."""
        try:
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            with self._lock:
                known = self._seen.get(path) == stamp
            if known:
                return
            if checksum is not None and file_checksum(path) != checksum:
                raise Corrupt(str(path), "its checksum does not match its bytes")
        except OSError as error:
            raise Corrupt(str(path), f"it cannot be read: {os.strerror(error.errno or 0)}") from error
        with self._lock:
            self._seen[path] = stamp
            if len(self._seen) > REMEMBERED_MAX:
                self._seen.popitem(last=False)


CHECKED = CheckedFiles()
"""Those that this process has opened."""


def file_checksum(path: Path) -> int:
    """CRC-32 of its bytes."""
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
