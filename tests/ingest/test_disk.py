"""A full disk: posts are refused before anything is read of them, and taken again once there is room."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tailrace.config.settings import IngestSettings
from tailrace.errors import Backpressure
from tailrace.ingest import admission
from tailrace.ingest.admission import DISK_LOOK_S, DiskGate
from tailrace.runtime.clock import ManualClock
from tailrace.runtime.disk import DiskUse, disk_use
from tailrace.telemetry.registry import Registry
from tests.ingest.serving import ingesting, line, memory_stream, settings

GIB = 1 << 30


@pytest.mark.parametrize(
    ("used_gib", "free_gib", "full"),
    [(89, 11, False), (90, 10, False), (91, 9, True), (930, 70, False), (995, 5, True), (1, 0, True), (0, 0, False)],
)
def test_full_is_a_share_and_a_room(used_gib: int, free_gib: int, full: bool) -> None:
    assert IngestSettings().is_full(DiskUse(used_gib * GIB, free_gib * GIB)) == full


def test_the_disk_is_looked_at_as_it_is(tmp_path: Path) -> None:
    found = disk_use(tmp_path / "not" / "there" / "yet")
    assert found.used > 0
    assert found.free > 0
    assert 0 < found.percent < 100


def test_it_is_looked_at_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    gate = DiskGate(tmp_path, IngestSettings(), clock, Registry())
    seen = DiskUse(1, 99 * GIB)
    monkeypatch.setattr(admission, "disk_use", lambda folder: seen)
    gate.check()
    seen = DiskUse(99 * GIB, GIB)
    gate.check()
    clock.advance(DISK_LOOK_S)
    with pytest.raises(Backpressure, match="`99` % used, `1024` MiB free"):
        gate.check()
    seen = DiskUse(50 * GIB, 50 * GIB)
    clock.advance(DISK_LOOK_S)
    gate.check()


def test_posts_are_refused_with_the_time_to_come_back(tmp_path: Path) -> None:
    stream = memory_stream()
    with ingesting(stream, settings(tmp_path, disk_percent_max=1, disk_free_bytes_enough=1 << 50)) as url:
        answer = httpx.post(f"{url}/v1/logs", content=line())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        assert "disk is full" in answer.json()["error"]["message"]
        assert "tailrace_ingest_disk_free_bytes" in httpx.get(f"{url}/metrics").text
    assert sum(stream.end(shard.id).next_offset for shard in stream.shards()) == 0
