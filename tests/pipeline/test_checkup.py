"""The checks of `tailrace doctor`: a sound folder passes, and each kind of damage is found and named."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.batch.consumer import consume
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.config.load import load_settings
from tailrace.config.settings import Settings
from tailrace.errors import GapFound
from tailrace.pipeline import lock
from tailrace.pipeline.checkup import examine, machine, node
from tailrace.pipeline.checkup.data import check_seals
from tailrace.pipeline.checkup.finding import Finding
from tailrace.pipeline.run_file import RunFile, RunningProcess
from tailrace.runtime.clock import SystemClock
from tailrace.states.manifest import Manifest, ManifestStore, ViewStates
from tailrace.states.segment import Segment
from tailrace.stream.backends.embedded import open_embedded
from tailrace.stream.base import EpochSeal, LedgerCounts
from tailrace.testing.contracts.stream_samples import sample_batch
from tailrace.testing.node import free_port

CLOCK = SystemClock()
VIEW = """CREATE VIEW mine AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, count(*) AS n
FROM logs GROUP BY ALL"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a folder with two sealed epochs a shard, a lake that has both, and a manifest that names a segment."""
    made = load_settings(folder=tmp_path, listen=f"127.0.0.1:{free_port()}")
    stream = open_embedded(made.stream_dir, made.stream, made.fields, CLOCK)
    for shard in stream.shards():
        for first in (0, 10, 20):
            stream.append(sample_batch(shard.id, range(first, first + 10), dead={first})).result()
            stream.seal(shard.id)
    lake = IcebergLake(made.lake_dir, made.fields, CLOCK)
    assert consume(stream, lake) is not None
    lake.close()
    frontier = {shard.id: 3 for shard in stream.shards()}
    stream.close()
    (made.states_dir / "batch").mkdir(parents=True)
    (made.states_dir / "batch" / "a.parquet").write_bytes(b"x" * 100)
    store = ManifestStore(made.manifest_path)
    segment = Segment(
        id="a", version="v", shard="s", epoch_first=1, epoch_last=3, records=1, rows=1, bytes=100,
        window_first_us=None, window_last_us=None, files={"scalars": "batch/a.parquet"},
    )  # fmt: skip
    views = {"mine": ViewStates(name="mine", version="v", sql=VIEW, segments=(segment,))}
    store.swap(0, Manifest(frontier=frontier, views=views), store.acquire_token(), 0)
    return made


def found(settings: Settings, *, deep: bool = False) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, CLOCK, deep=deep)}


def shard_file(settings: Settings) -> Path:
    return min(settings.stream_dir.glob("shardId-*/*.db"))


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_folder_passes(settings: Settings, deep: bool) -> None:
    findings = found(settings, deep=deep)
    assert [f for f in findings.values() if f.status == "fail"] == []
    assert "2 shards, 60 lines" in findings["stream"].detail
    assert "54 rows in 2 files" in findings["lake"].detail
    assert "generation 1, 1 views, 1 segments" in findings["manifest"].detail
    assert findings["lock"].detail.startswith("free")


def test_an_empty_folder_passes(tmp_path: Path) -> None:
    findings = found(load_settings(folder=tmp_path, listen=f"127.0.0.1:{free_port()}"))
    assert [f for f in findings.values() if f.status == "fail"] == []
    assert [findings[n].detail for n in ("stream", "lake", "manifest")] == ["nothing stored yet"] * 3
    assert list(tmp_path.iterdir()) == []


def drop_a_block(settings: Settings) -> None:
    with sqlite3.connect(shard_file(settings)) as connection:
        connection.execute("DELETE FROM blocks WHERE first_offset = 10")
    connection.close()


def spoil_a_block(settings: Settings) -> None:
    with sqlite3.connect(shard_file(settings)) as connection:
        connection.execute("UPDATE blocks SET raw = zeroblob(length(raw)) WHERE first_offset = 10")
    connection.close()


def remove_a_segment(settings: Settings) -> None:
    (settings.states_dir / "batch" / "a.parquet").unlink()


def cut_a_segment(settings: Settings) -> None:
    (settings.states_dir / "batch" / "a.parquet").write_bytes(b"x" * 50)


def remove_a_lake_file(settings: Settings) -> None:
    next(settings.lake_dir.rglob("data/**/*.parquet")).unlink()


def move_the_frontier_past_the_lake(settings: Settings) -> None:
    store = ManifestStore(settings.manifest_path)
    current = store.current()
    ahead = Manifest(frontier=dict.fromkeys(current.frontier, 9), views=current.views)
    store.swap(1, ahead, store.acquire_token(), 0)


def spoil_the_shard_list(settings: Settings) -> None:
    (settings.stream_dir / "shards.json").write_text("{")


DAMAGES: list[tuple[Callable[[Settings], None], str, str]] = [
    (drop_a_block, "stream", "offsets `10` to `19` are missing"),
    (remove_a_segment, "manifest", "segment a of version v is missing"),
    (cut_a_segment, "manifest", "segment a of version v is missing or cut short"),
    (remove_a_lake_file, "lake", "1 files are missing"),
    (move_the_frontier_past_the_lake, "lake", "it ends before the frontier"),
    (spoil_the_shard_list, "stream", "it is not a list of shards"),
]


@pytest.mark.parametrize(("damage", "check", "words"), DAMAGES, ids=[d.__name__ for d, _, _ in DAMAGES])
def test_damage_is_found(damage: Callable[[Settings], None], check: str, words: str, settings: Settings) -> None:
    damage(settings)
    findings = found(settings)
    assert [f.check for f in findings.values() if f.status == "fail"] == [check]
    assert words in findings[check].detail
    assert findings[check].next


def test_a_block_that_does_not_read_is_found_by_a_deep_look(settings: Settings) -> None:
    spoil_a_block(settings)
    assert found(settings)["stream"].status == "ok"
    assert found(settings, deep=True)["stream"].status == "fail"


def test_a_view_that_does_not_compile_is_a_warning(settings: Settings) -> None:
    settings.views_dir.mkdir()
    (settings.views_dir / "mine.sql").write_text(VIEW.replace("count(*)", "median(status)"))
    finding = found(settings)["views"]
    assert finding.status == "warn"
    assert finding.next == f"tailrace views check {settings.views_dir / 'mine.sql'}"


def test_a_port_that_another_program_has_fails(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = replace(settings, listen_port=other.getsockname()[1])
        finding = found(taken)["port"]
    assert finding.status == "fail"
    assert "--listen" in finding.next


def test_a_folder_in_use_is_told(settings: Settings) -> None:
    held = lock.acquire(settings.run_dir, CLOCK)
    try:
        assert found(settings)["lock"].detail == f"held by the node with pid {os.getpid()}"
    finally:
        held.release()


SEALS = [EpochSeal("s", n, 10 * n, 10 * n + 9, 0, LedgerCounts(10)) for n in (1, 2, 3)]


def test_epochs_that_follow_each_other_pass() -> None:
    check_seals("s", SEALS, 4)
    check_seals("s", [], 1)


@pytest.mark.parametrize(
    ("seals", "open_epoch"), [([SEALS[0], SEALS[2]], 4), (SEALS[::-1], 4), (SEALS, 3), ([SEALS[0], SEALS[0]], 4)]
)
def test_epochs_with_a_hole_or_twice_are_gaps(seals: list[EpochSeal], open_epoch: int) -> None:
    with pytest.raises(GapFound):
        check_seals("s", seals, open_epoch)


RUNNING = RunFile(
    pid=7, url="http://127.0.0.1:1", data_dir="", views_dir="", started_at="", version="",
    processes=[RunningProcess(role="node", name="node", pid=8)],
)  # fmt: skip
SOUND = {"ledger": {"balanced": True, "stored": 5, "first_difference": None}, "views": [{"drift_rows": 0}]}


def test_a_node_is_judged_by_what_it_says() -> None:
    assert node.judge(SOUND, RUNNING, "run").status == "ok"
    off = {**SOUND, "ledger": {"balanced": False, "first_difference": {"stage": "lake"}}}
    assert node.judge(off, RUNNING, "run").status == "fail"
    assert "lake" in node.judge(off, RUNNING, "run").detail
    drifted = {**SOUND, "views": [{"drift_rows": 0}, {"drift_rows": 3}]}
    assert node.judge(drifted, RUNNING, "run").detail.startswith("3 state rows")
    restarted = RunFile(
        **{f: getattr(RUNNING, f) for f in ("pid", "url", "data_dir", "views_dir", "started_at", "version")},
        processes=[RunningProcess(role="node", name="node", pid=8, restarts=2)],
    )
    assert node.judge(SOUND, restarted, "run").status == "warn"
    assert "node 2x" in node.judge(SOUND, restarted, "run").detail


MOUNTS = """/dev/sda1 / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/x /mnt/my\\040share nfs4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [("/home/x", "ext4"), ("/dev/shm/a", "tmpfs"), ("/dev/shmx", "ext4"), ("/mnt/my share/d", "nfs4"), ("/", "ext4")],
)
def test_the_file_system_of_a_folder(path: str, name: str) -> None:
    assert machine.file_system_of(Path(path), MOUNTS) == name
    assert machine.file_system_of(Path(path), "") == ""


def test_fsync_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    finding = machine.fsync(tmp_path / "not" / "there", CLOCK)
    assert finding.detail.startswith("median ")
    assert list(tmp_path.iterdir()) == []
