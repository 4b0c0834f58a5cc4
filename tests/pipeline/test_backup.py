"""A backup of a stream that is written while it is copied: no mark is ahead of the files beside it, and every checksum comes along."""

from __future__ import annotations

from pathlib import Path

from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.batch.lake.reader import IcebergReader
from tailrace.config.settings import Settings
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.pipeline.backup.places import Place, Written
from tailrace.pipeline.backup.restoring import restore
from tailrace.pipeline.backup.taking import take
from tailrace.runtime.clock import ManualClock
from tailrace.runtime.mark import MARK_FILE, read_mark
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tests.oracle.rig import Rig


def put(stream: EmbeddedStream, number: int) -> None:
    rig = Rig.__new__(Rig)
    rig.stream = stream
    rig.put([b'{"timestamp":1790000000000,"endpoint":"/%d"}' % (number * 100 + n) for n in range(8)])


def opened(settings: Settings) -> EmbeddedStream:
    return open_embedded(settings.stream_dir, settings.stream, settings.fields, ManualClock())


def test_no_mark_is_ahead_of_what_was_copied(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", views_dir=tmp_path / "views")
    stream = opened(settings)
    put(stream, 0)
    for shard in stream.shards():
        stream.seal(shard.id)
    lake = IcebergLake(settings.lake_dir, DEFAULT_FIELDS)
    consume(stream, lake)
    held = lake.totals()
    lake.close()
    told: list[str] = []

    def more(written: Written) -> None:
        """Posts come in after each file that is copied, and epochs are sealed."""
        told.append(written.path)
        put(stream, len(told))
        for shard in stream.shards():
            stream.seal(shard.id)

    take(settings, Place(str(tmp_path / "copy")), ManualClock(), more)
    stream.close()

    again = Settings(data_dir=tmp_path / "again", views_dir=tmp_path / "views")
    restore(Place(str(tmp_path / "copy")), again.data_dir, again.views_dir)
    restored = opened(again)
    for shard in restored.shards():
        end, mark = restored.end(shard.id), read_mark(again.stream_dir / shard.id)
        assert (0, 0) < mark <= (end.next_offset, end.open_epoch)
    put(restored, 0)
    restored.close()
    assert read_mark(again.lake_dir) == read_mark(settings.lake_dir) != (0, 0)
    assert f"{settings.lake_dir.name}/{MARK_FILE}" in told
    metadata = [p for p in told if "/metadata/" in p]
    plain = [p for p in metadata if not p.endswith(".crc")]
    assert sorted(Path(p).name for p in metadata) == sorted(
        name for p in plain for name in (Path(p).name, f".{Path(p).name}.crc")
    )
    reader = IcebergReader(again.lake_dir)
    assert reader.totals() == held
    reader.close()
