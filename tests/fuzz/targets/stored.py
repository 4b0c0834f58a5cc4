"""What is read from disk or from a backup: damaged bytes give Corrupt, or exactly what was written."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import pyarrow as pa

from tailrace.errors import Corrupt, TailraceError
from tailrace.model.shard import even_shards
from tailrace.pipeline.backup.places import Place, Written
from tailrace.pipeline.backup.restoring import _below
from tailrace.pipeline.backup.taking import INDEX, Index, read_index
from tailrace.pipeline.run_file import RunFile, read_run_file
from tailrace.runtime.mark import MARK_FILE, read_mark, write_mark
from tailrace.states.manifest import Finding, LakePin, Manifest, sealed, unsealed
from tailrace.states.segment import SpeedSegment, read_speed_segment, write_speed_segment
from tailrace.stream import codec
from tailrace.stream.backends.embedded.layout_file import Layout, decoded
from tests.fuzz.target import Target

_PATH = Path("file")
_VERSION, _SHARD = "v1", "shardId-000000000000"
_ROWS = pa.table({"window_start": pa.array([1, 2], pa.int64()), "n": pa.array([3, 4], pa.int64()), "k": ["a", None]})


@cache
def folder() -> Path:
    return Path(mkdtemp(prefix="tailrace-fuzz-"))


@cache
def block() -> bytes:
    return bytes(codec.encode(_ROWS))


def run_block(data: bytes) -> None:
    assert codec.decode(data, "block") == codec.decode(block(), "block")


def segment_path() -> Path:
    return folder() / "speed" / _VERSION / f"{_SHARD}-{1:010d}.segment"


@cache
def segment() -> bytes:
    write_speed_segment(folder(), _VERSION, SpeedSegment(_SHARD, 1, 2, {"scalars": _ROWS}))
    return segment_path().read_bytes()


def run_segment(data: bytes) -> None:
    segment()
    segment_path().write_bytes(data)
    found = read_speed_segment(folder(), _VERSION, _SHARD, 1)
    assert found == SpeedSegment(_SHARD, 1, 2, {"scalars": _ROWS})


def run_shards(data: bytes) -> None:
    """Whatever is taken can be used, written, and read back."""
    layout = decoded(data, _PATH)
    assert [shard.id for shard in layout.shards]
    assert decoded(layout.encoded(), _PATH) == layout


def run_manifest(data: bytes) -> None:
    kind: type[Any] = Finding if b"differing_rows" in data else Manifest
    found = unsealed(data, kind, _PATH)
    assert unsealed(sealed(found), kind, _PATH) == found


def run_mark(data: bytes) -> None:
    """A mark that does not read is no mark."""
    (folder() / MARK_FILE).write_bytes(data)
    found = read_mark(folder())
    if found != (0, 0):
        write_mark(folder(), found)
        assert (folder() / MARK_FILE).read_bytes()[:20] == data


def run_index(data: bytes) -> None:
    """An index from elsewhere never leads out of the folder that is restored into."""
    (folder() / INDEX).write_bytes(data)
    target = folder() / "restored"
    for file in read_index(Place(str(folder()))).files:
        try:
            assert _below(target, file.path).is_relative_to(target.resolve())
        except Corrupt:
            continue


def run_run_file(data: bytes) -> None:
    (folder() / "tailrace.json").write_bytes(data)
    found = read_run_file(folder())
    assert found is None or isinstance(found.pid, int)


_MANIFEST = Manifest(generation=3, frontier={_SHARD: 4}, lake=LakePin(snapshot_id=1, rows={_SHARD: 9}))
_FINDING = Finding(
    view="v", version="x", shard=_SHARD, epoch_first=1, epoch_last=2, differing_rows=3, found_us=4, sample=[{"n": 1.5}]
)
_INDEX = Index(
    version="0.1.0", taken_at="2026-11-22T10:00:00Z", stream="logs", files=[Written("stream/logs/a.db", 3, "00")]
)
_RUN = RunFile(pid=1, url="http://x", data_dir="d", views_dir="v", started_at="2026-11-22T10:00:00Z", version="0.1.0")
_SHARDS = Layout(even_shards(2, 1_795_341_600)).encoded()
_OLD_SHARDS = msgspec.json.encode({k: v for k, v in msgspec.json.decode(_SHARDS).items() if k != "checksum"})
TARGETS = (
    Target("block", "blocks of the stream", run_block, (block(),), refuses=Corrupt),
    Target("speed_segment", "speed segments", run_segment, (segment(),), (b"TRSEG001",), refuses=Corrupt),
    Target(
        "shards_file",
        "shards.json",
        run_shards,
        (_SHARDS, _OLD_SHARDS, b'{"version":1,"shards":[]}'),
        (
            b'"checksum": ',
            b'"pending": {"close": [0], "open": []}',
            b"null",
            b"-1",
            b"1e999",
            b"[",
            b'"index": ',
            b"true",
        ),
        refuses=Corrupt,
    ),
    Target(
        "manifest",
        "rows of manifest.db",
        run_manifest,
        (sealed(_MANIFEST), sealed(_FINDING), msgspec.msgpack.encode(_MANIFEST)),
        (b"TRM1", b"\xc0", b"\xdf\xff\xff\xff\xff"),
        refuses=Corrupt,
    ),
    Target("mark", "end.mark", run_mark, (bytes(20), b"\x01" + bytes(19))),
    Target(
        "backup_index",
        "backup.json",
        run_index,
        (msgspec.json.encode(_INDEX),),
        (b"../", b"/", b"\\u0000", b'"path":"', b"..", b"\\ud800"),
        refuses=TailraceError,
    ),
    Target("run_file", "run/tailrace.json", run_run_file, (msgspec.json.encode(_RUN),), (b"null", b"1e99", b"-1")),
)
