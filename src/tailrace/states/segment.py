"""Immutable state segments: the states of one view version, layer, shard and epoch range.

A batch segment is a Parquet file a table (so that a query reads only the windows it needs); a speed segment is one file that
holds all its tables, because it lives for seconds. File names carry everything but the counts, so that a folder listing is
enough to find the speed segments; batch segments are found through the manifest only.

Speed file layout (version 1): 8 bytes `TRSEG001`, uint32 length of a JSON head, uint32 CRC-32 of everything after it, the head
(`{"records": n, "tables": [[name, bytes], ...]}`, null for no tables), then each table as an Arrow IPC stream. Integers little-endian.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.errors import Corrupt
from tailrace.runtime.checked_files import CHECKED
from tailrace.runtime.files import write_atomic
from tailrace.runtime.ids import unique_id
from tailrace.runtime.storage_errors import translated
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.states.octaves import as_states, as_stored
from tailrace.states.tables import StateTables, window_range_us

_MAGIC = b"TRSEG001"
_FIXED = struct.Struct("<8sII")
_SPEED_NAME = re.compile(r"(shardId-\d{12})-(\d{10})\.segment")


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's states in windows of `width_us`. `files`: table name -> path below the states folder; `checksums`: table name ->
    CRC-32 of that file (older ones have none).

    `kept_from_us`: windows that start before it have been let go (None: all are there); a table of which nothing is left has no file.
    """

    width_us: int
    rows: int
    bytes: int
    files: dict[str, str]
    kept_from_us: int | None = None
    checksums: dict[str, int] = {}


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One batch segment, as the manifest names it. `files`, `checksums`, `rows`, `bytes`, `kept_from_us`: of the view's own
    windows, as in `Level`.

    `records`: good records it was computed from. `window_first_us`..`window_last_us`: its windows (None if it never had rows).
    `arrived_first_us`..`arrived_last_us`: when batch took its epochs over (0: not known). `rollups`: coarser levels, ascending.
    `offsets`: of the first and the last of those records (None: there are none, or it is older than this).
    """

    id: str
    version: str
    shard: str
    epoch_first: int
    epoch_last: int
    records: int
    rows: int
    bytes: int
    window_first_us: int | None
    window_last_us: int | None
    files: dict[str, str]
    window_us: int = 0
    kept_from_us: int | None = None
    arrived_first_us: int = 0
    arrived_last_us: int = 0
    rollups: tuple[Level, ...] = ()
    checksums: dict[str, int] = {}
    offsets: tuple[int, int] | None = None

    def overlaps(self, from_us: int | None, to_us: int | None) -> bool:
        """Whether it has a window that starts in [from_us, to_us); None is no bound."""
        if self.window_first_us is None or self.window_last_us is None:
            return False
        return (to_us is None or self.window_first_us < to_us) and (from_us is None or self.window_last_us >= from_us)

    def levels(self) -> tuple[Level, ...]:
        """All of them, ascending; the first has the view's own windows."""
        own = Level(
            width_us=self.window_us,
            rows=self.rows,
            bytes=self.bytes,
            files=self.files,
            checksums=self.checksums,
            kept_from_us=self.kept_from_us,
        )
        return (own, *self.rollups)

    def with_levels(self, levels: Sequence[Level]) -> Segment:
        """The same segment with other levels; the first has the view's own windows."""
        own = levels[0]
        return msgspec.structs.replace(
            self,
            rows=own.rows,
            bytes=own.bytes,
            files=own.files,
            checksums=own.checksums,
            kept_from_us=own.kept_from_us,
            rollups=tuple(levels[1:]),
        )

    @property
    def paths(self) -> list[str]:
        """Of all its files."""
        return [path for level in self.levels() for path in level.files.values()]

    @property
    def total_bytes(self) -> int:
        return sum(level.bytes for level in self.levels())


def write_batch_segment(
    states_dir: Path,
    version: str,
    shard: str,
    epochs: tuple[int, int],
    records: int,
    tables: StateTables,
    *,
    window_us: int = 0,
    arrived_us: tuple[int, int] = (0, 0),
    offsets: tuple[int, int] | None = None,
) -> Segment:
    """Write merged `tables` as Parquet; returns once all files are durable. Nothing names them until a manifest does."""
    segment_id = f"{shard}-{epochs[0]:010d}-{epochs[1]:010d}-{unique_id()}"
    own = write_level(states_dir, f"batch/{version}/{segment_id}", window_us, tables)
    windows = window_range_us(tables)
    return Segment(
        id=segment_id,
        version=version,
        shard=shard,
        epoch_first=epochs[0],
        epoch_last=epochs[1],
        records=records,
        rows=own.rows,
        bytes=own.bytes,
        window_first_us=windows[0] if windows else None,
        window_last_us=windows[1] if windows else None,
        files=own.files,
        checksums=own.checksums,
        window_us=window_us,
        arrived_first_us=arrived_us[0],
        arrived_last_us=arrived_us[1],
        offsets=offsets,
    )


def write_level(
    states_dir: Path, prefix: str, width_us: int, tables: StateTables, kept_from_us: int | None = None
) -> Level:
    """One file a table, `{prefix}.{table}.parquet` below the states folder; durable on return. A coarse level also has `octaves`."""
    files: dict[str, str] = {}
    checksums: dict[str, int] = {}
    size = 0
    for name, table in as_stored(width_us, tables).items():
        relative = f"{prefix}.{name}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=65_536)
        data = sink.getvalue()
        with translated(states_dir / relative):
            write_atomic(states_dir / relative, memoryview(data))
        files[name] = relative
        checksums[name] = zlib.crc32(data)
        size += data.size
    rows = sum(table.num_rows for table in tables.values())
    return Level(width_us=width_us, rows=rows, bytes=size, files=files, checksums=checksums, kept_from_us=kept_from_us)


def read_batch_table(states_dir: Path, segment: Segment | Level, name: str) -> pa.Table:
    """All rows of one table. Raises Corrupt if the file is missing or not as it was written."""
    path = checked_file(states_dir, segment, name)
    try:
        return as_states(name, pq.ParquetFile(path).read())
    except (OSError, pa.ArrowException) as error:
        raise Corrupt(str(path), str(error)) from error


def checked_file(states_dir: Path, segment: Segment | Level, name: str) -> Path:
    """The file of one table, its bytes compared with the checksum when this process opens it first. Raises Corrupt."""
    path = states_dir / segment.files[name]
    CHECKED.check(path, segment.checksums.get(name))
    return path


@dataclass(frozen=True, slots=True)
class SpeedSegment:
    """The merged states of one view version for one sealed epoch of one shard.

    `tables`: None where its records were counted only, as they have more keys than the speed layer holds.
    """

    shard: str
    epoch: int
    records: int
    tables: Mapping[str, pa.Table] | None


def _speed_path(states_dir: Path, version: str, shard: str, epoch: int) -> Path:
    return states_dir / "speed" / version / f"{shard}-{epoch:010d}.segment"


def write_speed_segment(states_dir: Path, version: str, segment: SpeedSegment) -> None:
    """Write it whole under its name. Not fsynced: the stream can always make it again. Raises Unavailable if it cannot be."""
    bodies: list[tuple[str, pa.Buffer]] = []
    for name, table in (segment.tables or {}).items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        bodies.append((name, sink.getvalue()))
    listed = None if segment.tables is None else [[n, b.size] for n, b in bodies]
    head = msgspec.json.encode({"records": segment.records, "tables": listed})
    payload = head + b"".join(memoryview(b) for _, b in bodies)
    data = _FIXED.pack(_MAGIC, len(head), zlib.crc32(payload)) + payload
    path = _speed_path(states_dir, version, segment.shard, segment.epoch)
    with translated(path):
        write_atomic(path, data, durable=False)


def read_speed_segment(states_dir: Path, version: str, shard: str, epoch: int) -> SpeedSegment | None:
    """None if it has not been written. Raises Corrupt if its bytes are not those written."""
    path = _speed_path(states_dir, version, shard, epoch)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Corrupt(str(path), "it cannot be read", hint="delete it; the stream makes it again") from error
    if len(data) < _FIXED.size:
        raise Corrupt(str(path), "it is shorter than its head", hint="delete it; the stream makes it again")
    magic, head_bytes, checksum = _FIXED.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(memoryview(data)[_FIXED.size :]) != checksum:
        raise Corrupt(str(path), "checksum does not match", hint="delete it; the stream makes it again")
    try:
        records, tables = _speed_tables(data, head_bytes)
    except (*UNREADABLE, pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        # The length of the head is not among what the checksum is of.
        raise Corrupt(
            str(path), f"its head does not read: {error}", hint="delete it; the stream makes it again"
        ) from error
    return SpeedSegment(shard, epoch, records, tables)


def _speed_tables(data: bytes, head_bytes: int) -> tuple[int, dict[str, pa.Table] | None]:
    """Records and tables of a speed file's bytes; None for tables where records were counted only."""
    head = msgspec.json.decode(data[_FIXED.size : _FIXED.size + head_bytes])
    if head["tables"] is None:
        return head["records"], None
    tables: dict[str, pa.Table] = {}
    at = _FIXED.size + head_bytes
    for name, size in head["tables"]:
        tables[name] = pa.ipc.open_stream(pa.py_buffer(data)[at : at + size]).read_all()
        at += size
    return head["records"], tables


def list_speed_segments(states_dir: Path, version: str) -> list[tuple[str, int]]:
    """(shard, epoch) of each speed segment of a version, ascending."""
    folder = states_dir / "speed" / version
    if not folder.is_dir():
        return []
    found = (_SPEED_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted((match[1], int(match[2])) for match in found if match)


def drop_speed_segment(states_dir: Path, version: str, shard: str, epoch: int) -> None:
    """Forget it; no matter if it is gone already."""
    _speed_path(states_dir, version, shard, epoch).unlink(missing_ok=True)
