"""A shard's high-water mark: how far it had certainly got, kept beside its files.

SQLite takes a write-ahead log to end at the first frame that does not read: right after a power cut, and wrong if a synced frame
was damaged, or the log cut off or removed; then acknowledged lines would be gone without a word. The mark is written after each
commit's sync and is not synced itself, so it may lag behind the files and is never ahead of them. Files that are behind it
have lost something.

Layout: next offset and open epoch (uint64 each), CRC-32 of both, little endian. A mark that does not read is no mark.
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
"""Next offset, open epoch."""


def write_mark(folder: Path, place: Place) -> None:
    """The caller holds the append lock, and `place` is on disk."""
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
    next_offset, open_epoch = _PLACE.unpack(body)
    return next_offset, open_epoch


def check_mark(mark: Place, found: Place, file: Path) -> None:
    """Raises Corrupt if `file`, the newest, ends before the mark."""
    if found[0] < mark[0] or found[1] < mark[1]:
        raise Corrupt(
            f"{file}-wal",
            f"the shard had got to offset `{mark[0]}`, epoch `{mark[1]}`, and now ends at `{found[0]}`, `{found[1]}`",
            hint=f"restore the shard's folder from a backup; to go on without the lines, delete {file.parent / MARK_FILE}",
        )
