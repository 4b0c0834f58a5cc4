"""A real access log, posted as it is: exactly the numbers of one plain SQL statement over the file."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.plain_sql import ask
from tests.e2e.waiting import count_of, until, until_covered
from tests.oracle.lines import Record, parse_combined
from tests.oracle.model import ENDPOINT_HEALTH, SHIPPED, View, expected_rows
from tests.oracle.wire import as_json_rows, window_text

LINES = 10_000
LINES_PER_POST = 2_500
PLAIN = {"_from": "2015-01-01T00:00:00Z", "to": "2016-01-01T00:00:00Z"}
TIMED = {"_from": "2016-01-01T00:00:00Z", "to": "2017-01-01T00:00:00Z"}
WINDOW = "at_us - at_us % 10000000"


@pytest.fixture(scope="module")
def plain_log(shared_data: Path) -> Path:
    """As the server wrote it: no response times, and one line that was cut off in its last part."""
    return shared_data / "apache_access.log"


@pytest.fixture(scope="module")
def timed_log(plain_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same a year later, with a response time in seconds behind each line that was not cut off."""
    chance = random.Random(7)
    lines = plain_log.read_text().replace("/May/2015:", "/May/2016:").splitlines()
    timed = [f"{line} {chance.lognormvariate(-3, 1.2):.6f}" if line.endswith('"') else line for line in lines]
    path = tmp_path_factory.mktemp("timed") / "timed.log"
    path.write_text("\n".join(timed) + "\n")
    return path


@pytest.fixture(scope="module")
def loaded(node: RunningNode, plain_log: Path, timed_log: Path) -> RunningNode:
    """Both logs posted in parts; the first is covered by batch before the second begins."""
    for log, span in ((plain_log, PLAIN), (timed_log, TIMED)):
        lines = log.read_bytes().splitlines(keepends=True)
        for at in range(0, len(lines), LINES_PER_POST):
            answer = node.post_logs(b"".join(lines[at : at + LINES_PER_POST]), format="combined")
            assert answer.status == 200, answer.body
            assert (answer.json["accepted"], answer.json["dead_lettered"]) == (LINES_PER_POST, [])
        until(lambda span=span: count_of(node, **span) == LINES, node.pipeline)  # type: ignore[misc]
        until_covered(node)
    return node


def rows(node: RunningNode, view: str, columns: tuple[str, ...], span: dict[str, str], **params: object) -> list[Any]:
    answer = node.view(view, **span, **params)
    assert not answer["truncated"]
    at = [answer["columns"].index(name) for name in columns]
    return [tuple(row[i] for i in at) for row in answer["rows"]]


def with_windows(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(window_text(row[0]), *(_decimal(value) for value in row[1:])) for row in found]


def _decimal(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("kind", ["plain", "timed"])
def test_counts_sums_averages_and_extremes_equal_plain_sql(
    loaded: RunningNode, kind: str, request: pytest.FixtureRequest
) -> None:
    log, span = request.getfixturevalue(f"{kind}_log"), PLAIN if kind == "plain" else TIMED
    select = f"""SELECT {WINDOW} AS w, endpoint, count(*), sum(response_ms), avg(response_ms), min(response_ms),
        max(response_ms), count(*) FILTER (WHERE status >= 500) FROM log GROUP BY ALL ORDER BY 1, 2"""
    columns = (
        "window_start",
        "endpoint",
        "requests",
        "response_ms_sum",
        "response_ms_avg",
        "response_ms_min",
        "response_ms_max",
        "server_errors",
    )
    expected = with_windows(ask(log, select))
    assert len(expected) > 5_000
    assert rows(loaded, "endpoint_health", columns, span) == expected


def test_status_codes_equal_plain_sql(loaded: RunningNode, plain_log: Path) -> None:
    select = f"SELECT {WINDOW} AS w, endpoint, status, count(*) FROM log GROUP BY ALL ORDER BY 1, 2, 3"
    columns = ("window_start", "endpoint", "status", "requests")
    assert rows(loaded, "status_by_endpoint", columns, PLAIN) == with_windows(ask(plain_log, select))


def test_networks_equal_plain_sql(loaded: RunningNode, plain_log: Path) -> None:
    select = r"""SELECT at_us - at_us % 60000000 AS w, regexp_extract(ip, '^(\d+\.\d+\.\d+)\.\d+$', 1) || '.0/24' AS network,
        count(*) FROM log GROUP BY ALL ORDER BY 1, 2"""
    columns = ("window_start", "network", "requests")
    assert rows(loaded, "traffic_by_network", columns, PLAIN) == with_windows(ask(plain_log, select))


def test_one_row_for_all_of_time_equals_plain_sql(loaded: RunningNode, timed_log: Path) -> None:
    select = "SELECT NULL, count(*), avg(response_ms), max(response_ms) FROM log"
    columns = ("window_start", "requests", "response_ms_avg", "response_ms_max")
    assert rows(loaded, "overall_health", columns, TIMED, total="true") == with_windows(ask(timed_log, select))


@pytest.mark.parametrize("step", [None, "1h", "1d"])
def test_p99_is_within_one_percent(loaded: RunningNode, timed_log: Path, step: str | None) -> None:
    width = {"1h": 3_600_000_000, "1d": 86_400_000_000, None: 10_000_000}[step]
    select = f"""SELECT at_us - at_us % {width} AS w, endpoint,
        list_sort(list(response_ms))[ceil(0.99 * count(response_ms))::INTEGER]
        FROM log GROUP BY ALL HAVING count(response_ms) > 0 ORDER BY 1, 2"""
    params = {"step": step} if step else {}
    found = rows(loaded, "endpoint_health", ("window_start", "endpoint", "response_ms_p99"), TIMED, **params)
    found = [row for row in found if row[2] is not None]
    expected = with_windows(ask(timed_log, select))
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    wrong = [(f, e) for f, e in zip(found, expected, strict=True) if abs(f[2] - e[2]) > e[2] / 100]
    assert wrong == []


def test_distinct_counts_are_within_the_error_of_hyperloglog(loaded: RunningNode, plain_log: Path) -> None:
    """Standard error 1.6 %; small counts are nearly exact. Three standard errors, or one."""
    select = "SELECT endpoint, count(DISTINCT ip) FROM log GROUP BY 1 ORDER BY 1"
    found = rows(loaded, "endpoint_health", ("endpoint", "visitors"), PLAIN, total="true")
    expected = ask(plain_log, select)
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert max(count for _, count in expected) > 300
    off = [(f, e) for f, e in zip(found, expected, strict=True) if abs(f[1] - e[1]) > max(1, 0.048 * e[1])]
    assert off == []


@pytest.mark.parametrize("view", SHIPPED, ids=lambda view: view.name)
@pytest.mark.parametrize("kind", ["plain", "timed"])
def test_every_view_is_bit_equal_to_one_pass_of_the_model(
    loaded: RunningNode, view: View, kind: str, request: pytest.FixtureRequest
) -> None:
    records = parsed(request.getfixturevalue(f"{kind}_log"))
    answer = loaded.view(view.name, **(PLAIN if kind == "plain" else TIMED))
    assert answer["columns"] == view.columns
    assert answer["rows"] == as_json_rows(expected_rows(view, records))
    assert answer["drift_rows"] == 0


def test_explain_of_a_window_adds_up_to_the_view(loaded: RunningNode, plain_log: Path) -> None:
    start_us = min(record.at_us for record in parsed(plain_log)) // 10_000_000 * 10_000_000
    window = window_text(start_us)
    found = loaded.get("/v1/explain/endpoint_health", window=window).json
    merged = [row for row in loaded.view("endpoint_health", **PLAIN)["rows"] if row[0] == window]
    assert found["merged"]["rows"] == found["batch"]["rows"] == merged
    assert found["speed"]["rows"] == []
    assert found["merged"]["columns"] == ENDPOINT_HEALTH.columns


def parsed(log: Path) -> list[Record]:
    found = [parse_combined(line) for line in log.read_bytes().splitlines()]
    assert None not in found
    return [record for record in found if record is not None]
