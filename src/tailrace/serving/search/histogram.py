"""How many records there are over time, also by the values of a field."""

from __future__ import annotations

from typing import Any

from tailrace.model.window import iso
from tailrace.serving.search.asked import HistogramAsked
from tailrace.serving.search.ground import Part, Search, Wanted
from tailrace.serving.search.page import column_sql
from tailrace.serving.search.pieces import EARLIEST_US, LATEST_US
from tailrace.views.scope import RecordScope

_SECOND = 1_000_000
_STEPS_US = [
    *(n * 1_000 for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)),
    *(n * 3600 * _SECOND for n in (1, 2, 3, 6, 12, 24, 48, 168, 720, 2160, 8760)),
]
BUCKETS_MAX = 2_000


def search_histogram(search: Search, asked: HistogramAsked) -> dict[str, Any]:
    """Raises as `search_page` does."""
    search.take(asked.at)
    wanted = search.wanted(asked.query, asked.sql, asked.times())
    part, sample = search.sampled(search.part(wanted), asked.sample_rows)
    span = _span(search, wanted, part)
    if span is None:
        return _answer(search, [], [], 0, 0, 0) | sample.as_json()
    first, end = span
    step = step_us(end - first, asked.buckets)
    counts = _counts(search, wanted, part, step, asked)
    start = first - first % step
    starts = list(range(start, end, step))[:BUCKETS_MAX]
    place = {at: n for n, at in enumerate(starts)}
    series: dict[tuple[bool, str | None], list[int]] = {}
    for at, named, value, count in counts:
        line = series.setdefault((named, value), [0] * len(starts))
        if at in place:
            line[place[at]] += sample.scaled(count)
    ordered = sorted(series.items(), key=lambda item: (not item[0][0], -sum(item[1]), str(item[0][1])))
    lines = [{"value": value, "others": not named, "counts": counts} for (named, value), counts in ordered]
    total = sum(sum(counts) for _, counts in ordered)
    return _answer(search, starts, lines, step, end, total) | sample.as_json()


def _answer(search: Search, starts: list[int], lines: list[Any], step: int, end: int, total: int) -> dict[str, Any]:
    return {
        "step_ms": step // 1_000,
        "starts": [iso(at) for at in starts],
        "end": iso(end) if starts else None,
        "series": lines,
        "total": total,
        "position": search.position,
    }


def step_us(span_us: int, buckets: int) -> int:
    """The finest usual width with which a span takes at most so many buckets (and one for its beginning)."""
    for step in _STEPS_US:
        if span_us <= step * buckets:
            return step
    return -(-span_us // (buckets * _STEPS_US[-1])) * _STEPS_US[-1]


def _span(search: Search, wanted: Wanted, part: Part) -> tuple[int, int] | None:
    """The range that was asked for; where an end is open, that of the records found. None for nothing found."""
    times = wanted.times
    if times.first_us > EARLIEST_US and times.end_us < LATEST_US:
        return times.first_us, times.end_us
    [(low, high)] = search.rows(
        f"SELECT epoch_us(min(r.timestamp)), epoch_us(max(r.timestamp)) FROM {search.relation(part)} AS r "
        f"WHERE {wanted.condition}"
    )
    if low is None:
        return None
    first = times.first_us if times.first_us > EARLIEST_US else low
    return first, (times.end_us if times.end_us < LATEST_US else high + 1)


def _counts(
    search: Search, wanted: Wanted, part: Part, step: int, asked: HistogramAsked
) -> list[tuple[int, bool, str | None, int]]:
    """Bucket, whether the value is one of the most frequent, the value, records."""
    start = f"(epoch_us(r.timestamp) - ((epoch_us(r.timestamp) % {step}) + {step}) % {step})"
    relation = search.relation(part)
    if asked.group_by is None:
        rows = search.rows(
            f"SELECT {start} AS bucket, count(*) FROM {relation} AS r WHERE {wanted.condition} GROUP BY ALL"
        )
        return [(at, True, None, count) for at, count in rows]
    _, value = column_sql(RecordScope(search.fields), asked.group_by)
    return search.rows(
        f"WITH found AS MATERIALIZED (SELECT {start} AS bucket, CAST({value} AS VARCHAR) AS v, count(*) AS n "
        f"FROM {relation} AS r WHERE {wanted.condition} GROUP BY ALL), "
        f"top AS (SELECT v FROM found GROUP BY v ORDER BY sum(n) DESC, v LIMIT {asked.top}) "
        "SELECT bucket, named, CASE WHEN named THEN v END, CAST(sum(n) AS BIGINT) FROM ("
        "SELECT bucket, n, v, EXISTS (SELECT 1 FROM top WHERE top.v IS NOT DISTINCT FROM found.v) AS named FROM found"
        ") GROUP BY ALL"
    )
