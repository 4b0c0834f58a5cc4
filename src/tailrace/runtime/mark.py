"""High-water marks: how far what stands in SQLite files had certainly got, kept beside them.

SQLite takes a write-ahead log to end at the first frame that does not read: right after a power cut, and wrong if a synced frame
was damaged, or the log cut off or removed; then what had been committed would be gone without a word. A mark is written after a
commit's sync and is not synced itself, so it may lag behind the files and is never ahead of them. Files that are behind it
have lost something.

Layout: two numbers that never go back (uint64 each), CRC-32 of both, little endian. A mark that does not read is no mark.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from tailrace.errors import Corrupt

MARK_FILE = "end.mark"
_PLACE = struct.Struct("<QQ")
_SUM = struct.Struct("<I")

Place = tuple[int, int]
"""For a shard: next offset, open epoch. For the lake: the table's last sequence number, 0. For the manifest: its generation, 0."""


def write_mark(folder: Path, place: Place) -> None:
    """The caller is the one writer of the folder, and `place` is on disk."""
    handle = os.open(folder / MARK_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        body = _PLACE.pack(*place)
        os.pwrite(handle, body + _SUM.pack(zlib.crc32(body)), 0)
    finally:
        os.close(handle)


def read_mark(folder: Path) -> Place:
    """(0, 0) where there is none."""
    try:
        data = (folder / MARK_FILE).read_bytes()
    except FileNotFoundError:
        return 0, 0
    body, check = data[: _PLACE.size], data[_PLACE.size :]
    if len(check) != _SUM.size or _SUM.unpack(check)[0] != zlib.crc32(body):
        return 0, 0
    first, second = _PLACE.unpack(body)
    return first, second


def check_mark(mark: Place, found: Place, file: Path) -> None:
    """Raises Corrupt if what stands in `file` and its log has not got as far as the mark."""
    if found[0] < mark[0] or found[1] < mark[1]:
        raise Corrupt(
            f"{file}-wal",
            f"it had got to `{mark[0]}`, `{mark[1]}`, and now ends at `{found[0]}`, `{found[1]}`",
            hint=f"restore {file.parent} from a backup; to go on without what is lost, delete {file.parent / MARK_FILE}",
        )
