"""What a search may have to read: row groups of lake files, and the stream's part, each with its times and offsets.

The footers of lake files are read once and kept. A group is left out where its times, its offsets or its words say that nothing in it
can be found; never for any other reason.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.batch.base import LakeFile
from tailrace.batch.lake.words import GroupWords, hashes_of, holds, read_footer
from tailrace.errors import Corrupt
from tailrace.formats.evolve import evolution
from tailrace.model.fields import Fields
from tailrace.runtime.checked_files import CHECKED
from tailrace.serving.search.needed import NeededWords

FOOTERS_MAX = 20_000
EARLIEST_US, LATEST_US = -(1 << 62), 1 << 62


@dataclass(frozen=True, slots=True)
class Times:
    """Event times in microseconds: from `first_us` on, before `end_us`."""

    first_us: int = EARLIEST_US
    end_us: int = LATEST_US

    def meets(self, min_us: int, max_us: int) -> bool:
        return min_us < self.end_us and max_us >= self.first_us


@dataclass(frozen=True, slots=True)
class Piece:
    """A row group of `file`: offsets `first`..`last`, event times `min_us`..`max_us`, both inclusive."""

    file: LakeFile
    first: int
    last: int
    rows: int
    min_us: int
    max_us: int
    words: GroupWords | None


class Footers:
    """Row groups of lake files. Any thread may ask."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[Piece, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def pieces(self, file: LakeFile) -> tuple[Piece, ...]:
        """Raises Corrupt for a file that is not as it was written."""
        with self._lock:
            known = self._held.get(file.path)
            if known is not None:
                self._held.move_to_end(file.path)
                return known
        try:
            CHECKED.check(file.path, file.checksum)
            found = _read(file)
        except (Corrupt, OSError, pa.ArrowException) as error:
            raise Corrupt(file.path.name, "the lake's file is not as it was written") from error
        with self._lock:
            self._held[file.path] = found
            if len(self._held) > FOOTERS_MAX:
                self._held.popitem(last=False)
        return found


def _read(file: LakeFile) -> tuple[Piece, ...]:
    metadata = pq.read_metadata(file.path)
    words = read_footer(metadata)
    names = [metadata.row_group(0).column(place).path_in_schema for place in range(metadata.num_columns)]
    offset, timestamp = names.index("_offset"), names.index("timestamp")
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        offsets, times = group.column(offset).statistics, group.column(timestamp).statistics
        first, last = (offsets.min, offsets.max) if offsets and offsets.has_min_max else _all_offsets(file)
        low, high = (
            (times.min_raw, times.max_raw) if times and times.has_min_max else (file.time_min_us, file.time_max_us)
        )
        found.append(Piece(file, first, last, group.num_rows, low, high, words[number]))
    return tuple(found)


def _all_offsets(file: LakeFile) -> tuple[int, int]:
    return file.offset_first, file.offset_last


def pieces_of(
    footers: Footers,
    files: Iterable[LakeFile],
    times: Times,
    ends: Mapping[str, int],
    needed: NeededWords | None,
    fields: Fields,
) -> list[Piece]:
    """The groups that can hold what is searched for. `ends`: shard -> offset before which its lines count."""
    found: list[Piece] = []
    for file in files:
        end = ends.get(file.shard_id, 0)
        if not times.meets(file.time_min_us, file.time_max_us) or file.offset_first >= end:
            continue
        there = [p for p in footers.pieces(file) if times.meets(p.min_us, p.max_us) and p.first < end]
        found += _with_words(file, there, needed, fields) if needed else there
    return found


def _with_words(file: LakeFile, pieces: Sequence[Piece], needed: NeededWords, fields: Fields) -> Iterable[Piece]:
    """A file that was written under other fields is read: what its columns hold is not what is searched."""
    asked = [piece for piece in pieces if piece.words is not None]
    if not asked or (file.schema is not None and evolution(file.schema, fields)):
        return pieces
    hashes = hashes_of(needed.words)
    descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        out: set[int] = set()
        for piece in asked:
            assert piece.words is not None
            found = dict(zip(needed.words, holds(descriptor, piece.words, hashes), strict=True))
            if not needed.may_match(found.__getitem__):
                out.add(id(piece))
    finally:
        os.close(descriptor)
    return [piece for piece in pieces if id(piece) not in out]
