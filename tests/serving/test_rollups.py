"""An answer from levels equals the answer from every window, whatever is asked; what was let go is said, never left out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tailrace.errors import Corrupt, Invalid
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.runtime.checked_files import file_checksum
from tailrace.serving.merge import Merger, ViewQuery, rows_of
from tailrace.states.compaction import compact, merge_segments, roll_up
from tailrace.states.octaves import OCTAVES
from tailrace.states.retention import let_go
from tailrace.states.segment import Segment, write_batch_segment
from tailrace.views import CompiledView, compile_view
from tests.views.rig import Engine, Record, empty_states

S = 1_000_000
HOUR, DAY = 3_600 * S, 86_400 * S
VIEW = compile_view(
    """CREATE VIEW v AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, endpoint,
    count(*) AS requests, avg(response_ms) AS response_ms_avg, quantile(response_ms, 0.9) AS response_ms_p90,
    min(response_ms) AS least, approx_count_distinct(ip) AS visitors FROM logs GROUP BY ALL""",
    DEFAULT_FIELDS,
)
SHARD = "shardId-000000000000"

moments = st.one_of(st.integers(-2 * 86_400, 12 * 86_400), st.integers(0, 9_000)).map(lambda s: s * S)
records = st.builds(
    Record,
    at_us=moments,
    endpoint=st.sampled_from(["/a", "/b", None]),
    response_ms=st.one_of(st.none(), st.decimals(0, 5_000, places=3)),
    ip=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
)
bounds = st.one_of(
    st.none(), st.integers(-3 * 86_400, 13 * 86_400).map(lambda s: s * S), st.integers(-2, 12).map(lambda d: d * DAY)
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def segments_of(folder: Path, engine: Engine, parts: list[list[Record]], arrived_us: int = DAY) -> tuple[Segment, ...]:
    """One segment a part, as a cycle writes them: without levels."""
    return tuple(
        write_batch_segment(
            folder,
            VIEW.version,
            SHARD,
            (n + 1, n + 1),
            len(part),
            engine.partial(VIEW, part),
            window_us=VIEW.window_us,
            arrived_us=(arrived_us, arrived_us),
        )
        for n, part in enumerate(parts)
    )


def asked(folder: Path, view: CompiledView, segments: tuple[Segment, ...], query: ViewQuery) -> list[list[Any]]:
    return rows_of(Merger(folder, threads=1).finalize(view, segments, empty_states(view), query).table)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(st.lists(records, max_size=12), min_size=4, max_size=5),
    from_us=bounds,
    to_us=bounds,
    step=st.sampled_from([None, 1, 3, 6, 60, 360, 1080, 2160, 8640, 17280]),
    total=st.booleans(),
)
def test_levels_change_no_answer(
    tmp_path: Path,
    engine: Engine,
    parts: list[list[Record]],
    from_us: int | None,
    to_us: int | None,
    step: int | None,
    total: bool,
) -> None:
    plain = segments_of(tmp_path, engine, parts)
    # Some merged once, some twice, some not at all.
    early = merge_segments(tmp_path, VIEW, plain[:2])
    mixed = (merge_segments(tmp_path, VIEW, (early, plain[2])), *plain[3:])
    assert [level.width_us // S for level in mixed[0].levels()] == [10, 60, 3_600, 10_800, 21_600, 86_400]
    query = ViewQuery(from_us, to_us, step_us=step and step * 10 * S, total=total and not step)
    assert asked(tmp_path, VIEW, mixed, query) == asked(tmp_path, VIEW, plain, query)
    assert sum(segment.records for segment in mixed) == sum(map(len, parts))


WIDE = compile_view(
    """CREATE VIEW w AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, endpoint,
    quantile(response_ms, 0) AS least, quantile(response_ms, 0.5) AS p50, quantile(response_ms, 0.99) AS p99,
    quantile(response_ms, 1) AS most, quantile(status - 300, 0.3) AS below_zero FROM logs GROUP BY ALL""",
    DEFAULT_FIELDS,
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), top=st.sampled_from([None, ("p50", 1)]), step=st.sampled_from([HOUR, DAY]))
def test_quantiles_of_many_bins_are_those_of_every_window(
    tmp_path: Path, engine: Engine, seed: int, top: tuple[str, int] | None, step: int
) -> None:
    chance = random.Random(seed)
    lines = [
        Record(
            at_us=chance.randrange(2 * DAY),
            endpoint=chance.choice(["/a", "/b", None]),
            response_ms=Decimal(round(chance.lognormvariate(8, 2))).scaleb(-3),
            status=chance.randrange(100, 600),
        )
        for _ in range(600)
    ]
    fine = engine.partial(WIDE, lines)
    plain = write_batch_segment(tmp_path, WIDE.version, SHARD, (1, 1), 600, fine, window_us=WIDE.window_us)
    levels = roll_up(tmp_path, WIDE, plain, fine)
    assert all(OCTAVES in level.files for level in levels.rollups)
    # One that an earlier version has written has the bins alone.
    bare = [structs.replace(x, files={n: f for n, f in x.files.items() if n != OCTAVES}) for x in levels.levels()]
    earlier = structs.replace(levels.with_levels(bare), id="earlier")
    query = ViewQuery(step_us=step, top=top)
    twice = asked(tmp_path, WIDE, (plain, structs.replace(plain, id="b")), query)
    assert asked(tmp_path, WIDE, (levels, earlier), query) == twice
    assert asked(tmp_path, WIDE, (levels,), query) == asked(tmp_path, WIDE, (plain,), query)


def test_coarse_questions_read_coarse_windows(tmp_path: Path, engine: Engine) -> None:
    lines = [Record(at_us=n * 60 * S, endpoint="/a") for n in range(2_000)]
    merged = compact(tmp_path, VIEW, segments_of(tmp_path, engine, [lines[::2], lines[1::2]]), 2)
    (segment,) = merged
    for path in segment.files.values():
        (tmp_path / path).unlink()
    daily = asked(tmp_path, VIEW, merged, ViewQuery(0, 2 * DAY, step_us=DAY))
    assert [row[2] for row in daily] == [1_440, 560]


def test_damage_in_any_level_is_noticed(tmp_path: Path, engine: Engine) -> None:
    part = [Record(at_us=n * HOUR, endpoint="/a") for n in range(48)]
    (plain,) = segments_of(tmp_path, engine, [part])
    segment = roll_up(tmp_path, VIEW, plain, engine.partial(VIEW, part))
    merged = merge_segments(tmp_path, VIEW, [segment])
    retained = let_go(tmp_path, segment, {segment.window_us: DAY})
    for one in (segment, merged, retained):
        for level in one.levels():
            assert level.checksums == {name: file_checksum(tmp_path / path) for name, path in level.files.items()}
            assert level.files
    daily = segment.levels()[-1]
    path = tmp_path / daily.files["scalars"]
    data = path.read_bytes()
    path.write_bytes(bytes([*data[:40], data[40] ^ 1, *data[41:]]))
    assert asked(tmp_path, VIEW, (segment,), ViewQuery(limit=1))
    with pytest.raises(Corrupt, match=path.name):
        asked(tmp_path, VIEW, (segment,), ViewQuery(step_us=DAY))
    with pytest.raises(Corrupt, match=path.name):
        merge_segments(tmp_path, VIEW, [segment])


def test_what_was_let_go_is_said(tmp_path: Path, engine: Engine) -> None:
    lines = [Record(at_us=n * HOUR, endpoint="/a") for n in range(240)]
    (whole,) = segments_of(tmp_path, engine, [lines])
    whole = roll_up(tmp_path, VIEW, whole, engine.partial(VIEW, lines))
    cut = let_go(tmp_path, whole, {10 * S: 9 * DAY, 60 * S: 5 * DAY})
    merger = Merger(tmp_path, threads=1)

    def answer(query: ViewQuery) -> Any:
        return merger.finalize(VIEW, (cut,), empty_states(VIEW), query)

    assert (answer(ViewQuery()).kept_from_us, len(rows_of(answer(ViewQuery()).table))) == (9 * DAY, 24)
    by_minute = ViewQuery(step_us=60 * S)
    assert (answer(by_minute).kept_from_us, len(rows_of(answer(by_minute).table))) == (5 * DAY, 120)
    assert [row[2] for row in rows_of(answer(ViewQuery(total=True)).table)] == [240]
    assert len(rows_of(answer(ViewQuery(0, 3 * DAY, step_us=HOUR)).table)) == 72
    assert len(rows_of(answer(ViewQuery(9 * DAY, None)).table)) == 24
    for query in (ViewQuery(0, DAY), ViewQuery(DAY, 2 * DAY, step_us=60 * S), ViewQuery(30 * S, DAY, step_us=HOUR)):
        with pytest.raises(Invalid, match="does not keep windows"):
            answer(query)


def test_a_record_from_the_future_keeps_its_window(tmp_path: Path, engine: Engine) -> None:
    lines = [Record(at_us=0, endpoint="/a"), Record(at_us=400 * DAY, endpoint="/late")]
    (whole,) = segments_of(tmp_path, engine, [lines])
    cut = let_go(tmp_path, roll_up(tmp_path, VIEW, whole, engine.partial(VIEW, lines)), {10 * S: 9 * DAY})
    assert [row[1] for row in asked(tmp_path, VIEW, (cut,), ViewQuery(9 * DAY, None))] == ["/late"]
    merged = merge_segments(tmp_path, VIEW, (cut, structs.replace(cut, id="b")))
    assert [row[2] for row in asked(tmp_path, VIEW, (merged,), ViewQuery(9 * DAY, None))] == [2]
    assert [row[2] for row in asked(tmp_path, VIEW, (merged,), ViewQuery(total=True))] == [2, 2]


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path, engine: Engine) -> None:
    lines = [Record(at_us=n * 60 * S, endpoint=f"/{n % 3}", ip=f"10.0.0.{n}") for n in range(50)]
    segments = segments_of(tmp_path, engine, [lines])
    every = asked(tmp_path, VIEW, segments, ViewQuery(step_us=HOUR))
    for table in ("bins", "registers"):
        (tmp_path / segments[0].files[table]).unlink()
    few = asked(tmp_path, VIEW, segments, ViewQuery(step_us=HOUR, columns=("response_ms_avg", "Requests")))
    assert few == [row[:4] for row in every]
    ranked = asked(tmp_path, VIEW, segments, ViewQuery(total=True, columns=("least",), top=("requests", 1)))
    assert [row[1] for row in ranked] == ["/0", None]
    with pytest.raises(Corrupt):
        asked(tmp_path, VIEW, segments, ViewQuery(step_us=HOUR, columns=("visitors",)))
    with pytest.raises(Invalid, match="no column"):
        asked(tmp_path, VIEW, segments, ViewQuery(columns=("nothing",)))
