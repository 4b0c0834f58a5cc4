"""State segments read back as written, and damage is named."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from tailrace.errors import Corrupt
from tailrace.model.fields import TIMESTAMP_TYPE
from tailrace.states.segment import (
    SpeedSegment,
    drop_speed_segment,
    list_speed_segments,
    read_batch_table,
    read_speed_segment,
    write_batch_segment,
    write_speed_segment,
)

SHARD = "shardId-000000000000"
SCALARS = pa.table(
    {
        "window_start": pa.array([20_000_000, 10_000_000], TIMESTAMP_TYPE),
        "endpoint": ["/b", None],
        "s0": pa.array([1, 2], pa.int64()),
        "s1": pa.array([Decimal(10**37), Decimal(-(10**37))], pa.decimal128(38, 0)),
    }
)


def test_speed_segment_round_trip(tmp_path: Path) -> None:
    write_speed_segment(tmp_path, "v1", SpeedSegment(SHARD, 7, 3, {"scalars": SCALARS}))
    back = read_speed_segment(tmp_path, "v1", SHARD, 7)
    assert back is not None
    assert (back.shard, back.epoch, back.records) == (SHARD, 7, 3)
    assert back.tables["scalars"].equals(SCALARS)
    assert list_speed_segments(tmp_path, "v1") == [(SHARD, 7)]
    drop_speed_segment(tmp_path, "v1", SHARD, 7)
    drop_speed_segment(tmp_path, "v1", SHARD, 7)
    assert read_speed_segment(tmp_path, "v1", SHARD, 7) is None
    assert list_speed_segments(tmp_path, "absent") == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_damaged_speed_segment_is_never_served(tmp_path: Path, damage: str) -> None:
    write_speed_segment(tmp_path, "v1", SpeedSegment(SHARD, 7, 3, {"scalars": SCALARS}))
    path = next((tmp_path / "speed" / "v1").iterdir())
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"flip": bytes(data), "truncate": bytes(data[:-9]), "empty": b""}[damage])
    with pytest.raises(Corrupt):
        read_speed_segment(tmp_path, "v1", SHARD, 7)


def test_batch_segment_round_trip_keeps_128_bit_sums(tmp_path: Path) -> None:
    segment = write_batch_segment(tmp_path, "v1", SHARD, (3, 5), 9, {"scalars": SCALARS})
    assert (segment.epoch_first, segment.epoch_last, segment.records, segment.rows) == (3, 5, 9, 2)
    assert (segment.window_first_us, segment.window_last_us) == (10_000_000, 20_000_000)
    assert read_batch_table(tmp_path, segment, "scalars").equals(SCALARS.sort_by("window_start"))


def test_overlap_is_by_window_start(tmp_path: Path) -> None:
    segment = write_batch_segment(tmp_path, "v1", SHARD, (1, 1), 2, {"scalars": SCALARS})
    assert segment.overlaps(None, None)
    assert segment.overlaps(20_000_000, None)
    assert not segment.overlaps(20_000_001, None)
    assert segment.overlaps(None, 10_000_001)
    assert not segment.overlaps(None, 10_000_000)
    empty = write_batch_segment(tmp_path, "v1", SHARD, (2, 2), 0, {"scalars": SCALARS.slice(0, 0)})
    assert not empty.overlaps(None, None)


def test_missing_batch_file_is_corrupt(tmp_path: Path) -> None:
    segment = write_batch_segment(tmp_path, "v1", SHARD, (1, 1), 2, {"scalars": SCALARS})
    (tmp_path / segment.files["scalars"]).unlink()
    with pytest.raises(Corrupt):
        read_batch_table(tmp_path, segment, "scalars")
