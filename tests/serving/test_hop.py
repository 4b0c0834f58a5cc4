"""What a limit leaves out of hopping windows is not computed, and nothing else; too many are refused before any is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tailrace.errors import TooLarge
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.merge import Merger, ViewQuery
from tailrace.views import compile_view
from tests.views.rig import SECOND_US, Engine, Record

WINDOW = "time_bucket(INTERVAL '10 seconds', timestamp) AS w"
COLUMNS = "count(*) AS n, quantile(response_ms, 0.5) AS p, approx_count_distinct(ip) AS v"
VIEW = compile_view(
    f"CREATE VIEW v AS SELECT {WINDOW}, endpoint, status, {COLUMNS} FROM logs GROUP BY ALL", DEFAULT_FIELDS
)
TEN_US = 10 * SECOND_US


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def merger(tmp_path_factory: pytest.TempPathFactory) -> Merger:
    return Merger(tmp_path_factory.mktemp("states"), threads=1)


some_records = st.lists(
    st.builds(
        Record,
        at_us=st.integers(-20, 60).map(lambda n: n * TEN_US // 2),
        endpoint=st.sampled_from(["/a", "/b", None]),
        status=st.sampled_from([200, 500, None]),
        ip=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    ),
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=some_records,
    over=st.sampled_from([1, 3, 8]),
    step=st.sampled_from([1, 2]),
    limit=st.integers(1, 40),
    start=st.none() | st.integers(-10, 30),
    end=st.none() | st.integers(-10, 30),
    top=st.sampled_from([None, ("n", 2)]),
    by=st.sampled_from([None, (), ("endpoint",), ("status",)]),
)
@example(
    records=[Record(at_us=i * TEN_US) for i in range(9)], over=8, step=1, limit=3, start=0, end=2, top=None, by=None
)  # steps after the last window asked for have rows enough for the limit
@example(
    records=[Record(at_us=i * TEN_US, endpoint=f"/{k}") for i in range(9) for k in range(3)],
    over=1,
    step=1,
    limit=3,
    start=None,
    end=None,
    top=None,
    by=(),
)  # keys that are merged are no rows
def test_a_limit_keeps_the_first_rows(
    engine: Engine,
    merger: Merger,
    records: list[Record],
    over: int,
    step: int,
    limit: int,
    start: int | None,
    end: int | None,
    top: tuple[str, int] | None,
    by: tuple[str, ...] | None,
) -> None:
    states = engine.partial(VIEW, records)
    from_us, to_us = (None if at is None else at * TEN_US for at in (start, end))
    asked = ViewQuery(
        step_us=step * TEN_US,
        over_us=over * step * TEN_US,
        from_us=from_us,
        to_us=to_us,
        top=None if by == () else top,
        by=by,
    )
    whole = merger.finalize(VIEW, [], states, asked)
    first = merger.finalize(VIEW, [], states, replace(asked, limit=limit))
    assert not whole.truncated
    assert first.table.equals(whole.table.slice(0, limit))
    assert first.truncated == (whole.table.num_rows > limit)


def test_windows_that_hold_too_much_are_refused(
    engine: Engine, merger: Merger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few windows, of many registers each."""
    records = [Record(at_us=i * TEN_US, endpoint=f"/{i % 10}", ip=f"10.0.0.{i % 50}") for i in range(200)]
    states = engine.partial(VIEW, records)
    asked = {"over_us": 8 * TEN_US}
    monkeypatch.setattr("tailrace.serving.merge.HOP_ROWS_MAX", 1_500)
    with pytest.raises(TooLarge, match="registers of hopping windows would have to be computed, more than 1,500"):
        merger.finalize(VIEW, [], states, ViewQuery(**asked))
    assert merger.finalize(VIEW, [], states, ViewQuery(**asked, where="endpoint = '/7'")).table.num_rows
    assert merger.finalize(VIEW, [], states, ViewQuery(**asked, limit=5)).table.num_rows == 5


def test_too_many_windows_are_refused(engine: Engine, merger: Merger) -> None:
    """A record a day, each of its own key, in four hours of windows: many windows of few records."""
    records = [Record(at_us=day * 8_640 * TEN_US, endpoint=f"/{day}") for day in range(4_000)]
    states = engine.partial(VIEW, records)
    over_us = 1_440 * TEN_US
    with pytest.raises(TooLarge) as raised:
        merger.finalize(VIEW, [], states, ViewQuery(over_us=over_us))
    assert "`5,760,000` hopping windows" in raised.value.message
    assert "narrow it" in raised.value.hint
    narrowed = merger.finalize(VIEW, [], states, ViewQuery(over_us=over_us, where="endpoint = '/7'"))
    assert narrowed.table.num_rows == 1_440
    assert merger.finalize(VIEW, [], states, ViewQuery(over_us=over_us, limit=10)).table.num_rows == 10
