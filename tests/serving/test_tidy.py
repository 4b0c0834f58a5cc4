"""What a cycle tidies: neighbours merged, windows let go when they are due and never without a coarser one, bytes bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from tailrace.config.settings import RetentionSettings
from tailrace.runtime.clock import ManualClock
from tailrace.serving.merge import ViewQuery
from tailrace.serving.tidy import GARBAGE_AGE_US, LONG_ROWS_MIN, Tidy
from tailrace.states.manifest import Manifest, ManifestStore, ViewStates
from tailrace.states.segment import Segment
from tests.serving.test_rollups import DAY, HOUR, VIEW, S, asked, segments_of
from tests.views.rig import Engine, Record

KEPT = RetentionSettings(states_fine_age_s=7 * 86_400, states_minute_age_s=30 * 86_400, states_age_s=400 * 86_400)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def tidied(
    folder: Path, clock: ManualClock, segments: tuple[Segment, ...], kept: RetentionSettings = KEPT, least: int = 4
) -> tuple[Segment, ...]:
    store = ManifestStore(folder / "manifest.db")
    tidy = Tidy(store, folder, lambda sql: VIEW, clock, least, kept)
    states = ViewStates(name="v", version=VIEW.version, sql=VIEW.sql, segments=segments)
    return tidy.views({"v": states})["v"].segments


def day_of(clock: ManualClock, count: int = 24) -> list[Record]:
    start = clock.now_us() // DAY * DAY
    return [Record(at_us=start + n * HOUR // 2, endpoint="/a") for n in range(count)]


def test_nothing_changes_while_nothing_is_due(tmp_path: Path, engine: Engine, clock: ManualClock) -> None:
    segments = segments_of(tmp_path, engine, [day_of(clock)] * 3, clock.now_us())
    assert tidied(tmp_path, clock, segments) == segments


def test_windows_go_with_age_finest_first(tmp_path: Path, engine: Engine, clock: ManualClock) -> None:
    """A lone segment too, which was never merged: it gets its coarser windows before it lets go of the fine ones."""
    lines = day_of(clock)
    segments = segments_of(tmp_path, engine, [lines], clock.now_us())
    hourly = asked(tmp_path, VIEW, segments, ViewQuery(step_us=HOUR))
    kept_widths = []
    for days in (7, 1, 22, 1, 368, 2):
        clock.advance(days * 86_400)
        segments = tidied(tmp_path, clock, segments)
        kept_widths.append([level.width_us // S for level in segments[0].levels() if level.files])
        if len(kept_widths) < 6:
            assert asked(tmp_path, VIEW, segments, ViewQuery(step_us=HOUR)) == hourly
    later = [3_600, 10_800, 21_600, 86_400]
    assert kept_widths == [[10], [60, *later], [60, *later], later, later, []]
    assert asked(tmp_path, VIEW, segments, ViewQuery(total=True)) == []
    assert segments[0].records == len(lines)


def test_old_neighbours_are_merged_further(tmp_path: Path, engine: Engine, clock: ManualClock) -> None:
    held: tuple[Segment, ...] = ()
    kept = replace(KEPT, states_fine_age_s=86_400, states_minute_age_s=4 * 86_400)
    for day in range(20):
        (new,) = segments_of(tmp_path, engine, [day_of(clock, 4)], clock.now_us())
        held = tidied(tmp_path, clock, (*held, structs.replace(new, epoch_first=day + 1, epoch_last=day + 1)), kept)
        clock.advance(86_400)
    assert len(held) < 12
    assert [s.epoch_first for s in held] == [1, *(s.epoch_last + 1 for s in held[:-1])]
    rows = asked(tmp_path, VIEW, held, ViewQuery(step_us=DAY))
    assert [row[2] for row in rows] == [4] * 20


def test_bytes_are_bounded(tmp_path: Path, engine: Engine, clock: ManualClock) -> None:
    lines = day_of(clock, 200)
    segments = tidied(tmp_path, clock, segments_of(tmp_path, engine, [lines] * 4, clock.now_us()))
    (merged,) = segments
    daily = asked(tmp_path, VIEW, segments, ViewQuery(step_us=DAY))
    few = replace(KEPT, states_bytes_max=merged.total_bytes - 1)
    (cut,) = tidied(tmp_path, clock, segments, few)
    assert cut.total_bytes < merged.total_bytes
    assert [level.width_us // S for level in cut.levels() if level.files] == [60, 3_600, 10_800, 21_600, 86_400]
    assert asked(tmp_path, VIEW, (cut,), ViewQuery(step_us=DAY)) == daily
    (least,) = tidied(tmp_path, clock, segments, replace(KEPT, states_bytes_max=1))
    assert [level.width_us // S for level in least.levels() if level.files] == [86_400]


def test_files_that_are_named_stay_whatever_their_age(tmp_path: Path, engine: Engine, clock: ManualClock) -> None:
    store = ManifestStore(tmp_path / "manifest.db")
    tidy = Tidy(store, tmp_path, lambda sql: VIEW, clock, 2, KEPT)
    segments = segments_of(tmp_path, engine, [day_of(clock)] * 2, clock.now_us())
    served = tidy.views({"v": ViewStates(name="v", version=VIEW.version, sql=VIEW.sql, segments=segments)})
    before = tidy.views({"v": ViewStates(name="v", version=VIEW.version, sql=VIEW.sql, segments=segments[:1])})
    manifest = Manifest(views=served, previous=before)
    for generation in range(3):
        manifest = store.swap(generation, manifest, store.acquire_token(), clock.now_us())
    clock.advance(GARBAGE_AGE_US // 1_000_000 + 1)
    for path in tmp_path.glob("batch/*/*.parquet"):
        os.utime(path, (0, 0))
    tidy.collect_garbage()
    (merged,), (alone,) = served["v"].segments, before["v"].segments
    assert len(merged.rollups) == 5
    named = [path for segment in (merged, alone) for level in segment.levels() for path in level.files.values()]
    assert [path for path in named if not (tmp_path / path).exists()] == []
    assert not any((tmp_path / path).exists() for path in segments[1].files.values())


def test_a_month_that_came_at_once_gets_its_coarser_windows_alone(
    tmp_path: Path, engine: Engine, clock: ManualClock
) -> None:
    """And a busy minute does not: its neighbours will come."""
    start = clock.now_us() // DAY * DAY
    month = [Record(at_us=start + n * 200 * S, endpoint="/a", ip=f"10.0.0.{n % 9}") for n in range(12_960)]
    minute = [Record(at_us=start + n % 60 * S, endpoint=f"/{n}", ip="10.0.0.1") for n in range(12_960)]
    segments = segments_of(tmp_path, engine, [month, minute], clock.now_us())
    assert all(segment.rows >= LONG_ROWS_MIN for segment in segments)
    daily = asked(tmp_path, VIEW, segments, ViewQuery(step_us=DAY))
    leveled = tidied(tmp_path, clock, segments)
    widths = [[level.width_us // S for level in segment.levels()] for segment in leveled]
    assert widths == [[10, 60, 3_600, 10_800, 21_600, 86_400], [10]]
    assert asked(tmp_path, VIEW, leveled, ViewQuery(step_us=DAY)) == daily
    assert tidied(tmp_path, clock, leveled) == leveled
