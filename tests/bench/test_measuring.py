"""What the measurements rest on: the lines that are sent, and the arithmetic of the reports."""

import json
import os
from datetime import datetime

import numpy as np
import pytest

from tailrace.bench.held import slope
from tailrace.bench.lines import LINE_BYTES, freshen, mark, pool
from tailrace.bench.processes import cpu_by_role, cpu_by_thread, pss_bytes
from tailrace.bench.report import Row, table
from tailrace.bench.visible import quantile

NOW_MS = 1_795_341_600_050


def test_lines_are_json_of_201_bytes_with_stamps_of_the_last_100_ms() -> None:
    [body] = pool(1, 1_000)
    freshen(body, NOW_MS, np.random.default_rng(1))
    text = body.tobytes()
    lines = text.splitlines(keepends=True)
    assert {len(line) for line in lines} == {LINE_BYTES}
    records = [json.loads(line) for line in lines]
    stamps = [round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000) for record in records]
    assert stamps == sorted(stamps)
    assert (stamps[0], stamps[-1]) == (NOW_MS - 99, NOW_MS)
    assert len({record["trace_id"] for record in records}) == 1_000
    assert len({record["endpoint"] for record in records}) == 10


def test_a_body_sent_again_has_other_trace_ids_and_the_same_rest() -> None:
    [body] = pool(1, 100)
    chance = np.random.default_rng(1)
    sent = []
    for now_ms in (NOW_MS, NOW_MS + 5_000):
        freshen(body, now_ms, chance)
        sent.append([json.loads(line) for line in body.tobytes().splitlines()])
    for first, second in zip(*sent, strict=True):
        assert first.pop("trace_id") != second.pop("trace_id")
        assert first.pop("timestamp") != second.pop("timestamp")
        assert first == second


def test_the_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]) == pytest.approx(2.0)
    assert slope([(1.0, 5.0)]) == 0.0


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 201)]
    assert (quantile(values, 0.5), quantile(values, 0.99)) == (101.0, 199.0)
    assert quantile([3.0], 0.99) == 3.0


def test_the_table_shows_smallest_median_and_largest() -> None:
    [_, row] = table([Row("CPU", "s / M lines", [3.0, 1.0, 2.5], "<= 4.0", "others 7")]).splitlines()
    assert row.split() == ["CPU", "s", "/", "M", "lines", "1.00", "2.50", "3.00", "<=", "4.0", "others", "7"]


def test_this_process_is_seen_with_its_cpu_threads_and_memory() -> None:
    pid = os.getpid()
    assert cpu_by_role(pid)["supervisor"] > 0
    assert any(thread.tid == pid for thread in cpu_by_thread(pid))
    assert pss_bytes(pid)["supervisor"] > 1 << 20


def test_stamps_can_go_over_a_longer_time_and_ids_be_few() -> None:
    [body] = pool(1, 1_000)
    freshen(body, NOW_MS, np.random.default_rng(1), spread_ms=3_600_000, ids=10)
    records = [json.loads(line) for line in body.tobytes().splitlines()]
    stamps = [round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000) for record in records]
    assert stamps == sorted(stamps)
    assert (stamps[0], stamps[-1]) == (NOW_MS - 3_599_999, NOW_MS - 3_599)
    assert len({record["trace_id"] for record in records}) == 10


def test_a_token_is_a_word_of_one_line_and_the_body_stays_as_it_is() -> None:
    [body] = pool(1, 100)
    marked = mark(body, b"zq7x05")
    lines = [json.loads(line)["message"].split() for line in marked.tobytes().splitlines()]
    assert [n for n, words in enumerate(lines) if "zq7x05" in words] == [0]
    assert {len(line) for line in marked.tobytes().splitlines(keepends=True)} == {LINE_BYTES}
    assert b"zq7x05" not in body.tobytes()


def test_as_many_endpoints_as_asked_for() -> None:
    [body] = pool(1, 2_000, endpoints=20)
    assert len({json.loads(line)["endpoint"] for line in body.tobytes().splitlines()}) == 20
