"""The shipped rules against labelled traffic, on a real node; and how a score is counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailrace.alerts.score import Anomaly, Fired, score
from tailrace.cli.main import main
from tailrace.testing.node import RunningNode
from tests.e2e.nodes import QUICK

S = 1_000_000
TIMELINE = """
[[event]]
at = "6m"
for = "2m"
scenario = "slow"

[[event]]
at = "11m"
for = "2m"
scenario = "outage"

[[event]]
at = "16m"
for = "2m"
scenario = "ddos"
"""


def anomaly(scenario: str, begin: int, end: int, *endpoints: str) -> Anomaly:
    return Anomaly(scenario, begin * S, end * S, frozenset(endpoints))


def test_an_alert_is_for_what_happens_at_its_endpoint_and_time() -> None:
    wanted = [anomaly("outage", 100, 200, "/a"), anomaly("rush", 1000, 1100), anomaly("late", 2000, 3000)]
    fired = [
        Fired("r", 130 * S, None, "/a"),
        Fired("q", 120 * S, None, None),
        Fired("r", 150 * S, None, "/b"),
        Fired("r", 90 * S, None, "/a"),
        Fired("r", 2100 * S, None, "/a"),
    ]
    found = score(wanted, fired)
    assert [f.delay_us for f in found.found] == [20 * S, None]
    assert {(w.at_us // S, w.endpoint) for w in found.wrong} == {(150, "/b"), (90, "/a"), (2100, "/a")}
    assert (found.precision, found.recall) == (0.4, 0.5)


def test_nothing_wanted_and_nothing_fired_is_perfect() -> None:
    assert (score([], []).precision, score([], []).recall) == (1.0, 1.0)


def test_each_anomaly_has_an_alert_and_none_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tailrace.toml").write_text(QUICK)
    (tmp_path / "day.toml").write_text(TIMELINE)
    manifest = tmp_path / "m.ndjson"
    with RunningNode(tmp_path / "data", config=tmp_path / "tailrace.toml") as node:
        url = f"http://127.0.0.1:{node.port}"
        history = ["--since", "20m", "--speed", "120x", "--rate", "3000", "--seed", "7"]
        told = ["--scenario", str(tmp_path / "day.toml"), "--manifest", str(manifest), "--processes", "1"]
        assert main(["produce", "--to", url, *history, *told]) == 0
        capsys.readouterr()
        code = main(["alerts", "score", str(manifest), "--json", "--url", url])
        found = json.loads(capsys.readouterr().out)
        assert (code, found["wrong"], found["recall"]) == (0, [], 1.0), found
        rules = {each["scenario"]: each["rules"] for each in found["anomalies"]}
        assert "slow-average" in rules["slow"]
        assert "server-errors" in rules["outage"]
        assert rules["ddos"] == ["traffic-surge"]
        _keys_are_merged_exactly(node)
        _streams_and_sql_say_what_views_say(node)


def _keys_are_merged_exactly(node: RunningNode) -> None:
    """All endpoints together are what the view without keys says, quantiles too."""

    def series(view: str) -> list[float | None]:
        rule = {"view": view, "value": "response_ms_p99 + 1000000 * requests", "above": 0, "by": []}
        body = json.dumps({"rule": rule, "from": "now-25m"}).encode()
        found = node.request("POST", "/v1/alerts/preview", body).json["series"]
        assert len(found) == 1
        return found[0]["values"]

    assert series("endpoint_health") == series("overall_health")


def _streams_and_sql_say_what_views_say(node: RunningNode) -> None:
    sql = (
        "SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, endpoint, count(*) AS n FROM logs "
        "WHERE timestamp >= {{from}} AND timestamp < {{to}} GROUP BY ALL"
    )
    times = {"over": "1m", "step": "1m", "above": 0, "delay": "1s"}
    asked = [
        {"view": "endpoint_health", "value": "requests", **times},
        {"stream": "logs", "by": ["endpoint"], **times},
        {"sql": sql, "value": "n", **times},
    ]
    to = datetime.now(UTC).isoformat()
    found = []
    for rule in asked:
        body = json.dumps({"rule": rule, "from": "now-25m", "to": to}).encode()
        answer = node.request("POST", "/v1/alerts/preview", body)
        assert answer.status == 200, answer.body
        found.append({s["key"]["endpoint"]: s["values"] for s in answer.json["series"]})
    assert len(found[0]) == 4
    assert found[0] == found[1] == found[2]
