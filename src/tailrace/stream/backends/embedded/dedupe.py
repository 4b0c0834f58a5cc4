"""What deduplication remembers: for a producer's stamp, the lines of that post which a shard holds.

Called inside the append's transaction. A row is written into the open file; a look-up asks the open file and the closed files
of the horizon, among them those of the shards that were split or merged into this one. Closed files never change, so a summary
of each (which stamps it can hold) is read once and spares most look-ups.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tailrace.errors import Corrupt
from tailrace.stream.backends.embedded.file import ShardFile
from tailrace.stream.backends.embedded.rows import file_of
from tailrace.stream.base import ProducerStamp

_RANGE = 0
_BITMAP = 1
_SUMMED = 2
_SUMMARY_PRODUCERS_MAX = 20_000
_KEYS_PER_QUERY = 200

Run = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


def encode_lines(lines: Any) -> bytes:
    """Line numbers (numpy uint32, ascending, distinct, not empty) as a range, or as a bitmap from the first on.

    Layout: kind byte, first line (uint32 little endian); then the last line (uint32), or the bits.
    """
    first, last = int(lines[0]), int(lines[-1])
    if last - first + 1 == len(lines):
        return bytes((_RANGE,)) + first.to_bytes(4, "little") + last.to_bytes(4, "little")
    bits = np.zeros(last - first + 1, dtype=bool)
    bits[lines - first] = True
    return bytes((_BITMAP,)) + first.to_bytes(4, "little") + np.packbits(bits).tobytes()


def decode_lines(blob: bytes) -> Any:
    """The inverse of `encode_lines`: numpy uint32, ascending."""
    first = int.from_bytes(blob[1:5], "little")
    if blob[0] == _RANGE:
        return np.arange(first, int.from_bytes(blob[5:9], "little") + 1, dtype=np.uint32)
    bits = np.unpackbits(np.frombuffer(blob, dtype=np.uint8, offset=5))
    return (np.flatnonzero(bits) + first).astype(np.uint32)


def sealed_lines(stamp: ProducerStamp, lines: Any) -> bytes:
    """What is stored: a kind byte, CRC-32 (little endian) of the stamp and the lines, the encoded lines."""
    blob = encode_lines(lines)
    return bytes((_SUMMED,)) + _checksum(stamp, blob).to_bytes(4, "little") + blob


def unsealed_lines(stamp: ProducerStamp, blob: object, path: Callable[[], str]) -> Any:
    """The inverse of `sealed_lines`; older rows have no checksum. Raises Corrupt, naming the file."""
    try:
        assert isinstance(blob, bytes)
        if blob[0] == _SUMMED:
            if _checksum(stamp, blob[5:]) != int.from_bytes(blob[1:5], "little"):
                raise ValueError
            blob = blob[5:]
        if blob[0] not in (_RANGE, _BITMAP):
            raise ValueError
        return decode_lines(blob)
    except (AssertionError, ValueError, IndexError) as error:
        raise Corrupt(path(), f"what is remembered of post `{stamp.n}` of `{stamp.id}` is damaged") from error


def _checksum(stamp: ProducerStamp, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(f"{stamp.id};{stamp.epoch};{stamp.n}".encode()))


@dataclass(frozen=True, slots=True)
class _Summary:
    """Least and greatest (epoch, n) a producer has in a closed file; None: too many producers, always ask."""

    ranges: dict[str, tuple[tuple[int, int], tuple[int, int]]] | None

    def may_hold(self, stamp: ProducerStamp) -> bool:
        if self.ranges is None:
            return True
        low, high = self.ranges.get(stamp.id, ((1, 0), (0, 0)))
        return low <= (stamp.epoch, stamp.n) <= high


class Summaries:
    """Summaries of closed files, read once a process. A file may be of interest to its own shard and to all that descend from it."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[ShardFile, _Summary] = WeakKeyDictionary()
        self._lock = Lock()

    def of(self, file: ShardFile) -> _Summary:
        """Raises FileNotFoundError if the file has been trimmed."""
        with self._lock:
            known = self._known.get(file)
        if known is None:
            known = _read_summary(file)
            with self._lock:
                self._known[file] = known
        return known


@dataclass(slots=True)
class ClosedStamps:
    """Look-up in the closed files of the horizon. Used by one writer thread."""

    _summaries: Summaries
    _files: tuple[ShardFile, ...] = ()

    def look_in(self, files: tuple[ShardFile, ...]) -> None:
        """From now on ask these."""
        self._files = files

    def files_with(self, stamps: Iterable[ProducerStamp]) -> list[ShardFile]:
        """Those that may hold one of the stamps."""
        asked, found = list(stamps), []
        for file in self._files:
            try:
                summary = self._summaries.of(file)
            except FileNotFoundError:
                continue
            if any(summary.may_hold(stamp) for stamp in asked):
                found.append(file)
        return found

    def find(self, stamps: Sequence[ProducerStamp]) -> list[tuple[ProducerStamp, Any]]:
        """Each remembered (stamp, lines) of `stamps`. A file that has been trimmed meanwhile remembers nothing."""
        found = []
        for file in self._files:
            try:
                summary = self._summaries.of(file)
                asked = [s for s in stamps if summary.may_hold(s)]
                found += _select(file.select, asked, file.path.__str__)
            except FileNotFoundError:
                continue
        return found


def find_open(connection: sqlite3.Connection, stamps: Sequence[ProducerStamp]) -> list[tuple[ProducerStamp, Any]]:
    """Each remembered (stamp, lines) of `stamps` in the open file, as this transaction sees it."""
    return _select(
        lambda query, values: connection.execute(query, values).fetchall(), stamps, lambda: file_of(connection)
    )


def remember(connection: sqlite3.Connection, lines: dict[ProducerStamp, Any]) -> None:
    """Write the lines (numpy uint32, ascending) that the open file now holds of each stamp."""
    connection.executemany(
        "INSERT OR REPLACE INTO dedupe VALUES (?, ?, ?, ?)",
        [(s.id, s.epoch, s.n, sealed_lines(s, numbers)) for s, numbers in lines.items()],
    )


def _select(run: Run, stamps: Sequence[ProducerStamp], path: Callable[[], str]) -> list[tuple[ProducerStamp, Any]]:
    found = []
    for start in range(0, len(stamps), _KEYS_PER_QUERY):
        part = stamps[start : start + _KEYS_PER_QUERY]
        keys = ", ".join(["(?, ?, ?)"] * len(part))
        values = tuple(v for s in part for v in (s.id, s.epoch, s.n))
        rows = run(
            f"WITH asked (p, e, n) AS (VALUES {keys}) SELECT p, e, asked.n, lines FROM asked "
            "JOIN dedupe ON producer = p AND producer_epoch = e AND dedupe.n = asked.n",
            values,
        )
        for row in rows:
            stamp = ProducerStamp(*row[:3])
            found.append((stamp, unsealed_lines(stamp, row[3], path)))
    return found


def check_dedupe(run: Run, path: Callable[[], str]) -> None:
    """Raises Corrupt unless SQLite finds the table in order: a look-up that misses a damaged row would store its post again.

    The quick check is not enough: it does not look at the order of the rows, by which they are found.
    """
    found = run("PRAGMA integrity_check(dedupe)", ())
    if found != [("ok",)]:
        raise Corrupt(path(), f"what is remembered of posts is damaged: {found[0][0] if found else 'nothing is found'}")


_SUMMARY = """
WITH RECURSIVE known (producer) AS (
    SELECT min(producer) FROM dedupe
    UNION ALL
    SELECT (SELECT min(producer) FROM dedupe WHERE producer > known.producer) FROM known WHERE known.producer IS NOT NULL
    LIMIT ?
)
SELECT producer,
    (SELECT producer_epoch FROM dedupe AS d WHERE d.producer = k.producer ORDER BY producer_epoch, n LIMIT 1),
    (SELECT n FROM dedupe AS d WHERE d.producer = k.producer ORDER BY producer_epoch, n LIMIT 1),
    (SELECT producer_epoch FROM dedupe AS d WHERE d.producer = k.producer ORDER BY producer_epoch DESC, n DESC LIMIT 1),
    (SELECT n FROM dedupe AS d WHERE d.producer = k.producer ORDER BY producer_epoch DESC, n DESC LIMIT 1)
FROM known AS k WHERE producer IS NOT NULL
"""
"""A few steps down the key's tree for each producer, however many rows it has."""


def _read_summary(file: ShardFile) -> _Summary:
    check_dedupe(file.select, file.path.__str__)
    rows = file.select(_SUMMARY, (_SUMMARY_PRODUCERS_MAX + 1,))
    if len(rows) > _SUMMARY_PRODUCERS_MAX:
        return _Summary(None)
    return _Summary({row[0]: ((row[1], row[2]), (row[3], row[4])) for row in rows})
