"""Alerts of a real node: from lines to a message, through SIGKILL, to the message that it is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.testing.node import RunningNode
from tests.alerts.receiver import Web, receiving
from tests.e2e.nodes import QUICK
from tests.e2e.waiting import until

VIEW = """CREATE VIEW per_second AS SELECT time_bucket(INTERVAL '1 second', timestamp) AS window_start, endpoint, count(*) AS n
FROM logs GROUP BY ALL;"""
RULE = {
    "view": "per_second", "value": "n", "above": 3, "over": "1s", "step": "1s", "delay": "1s", "keep_firing_for": "1h",
    "labels": {"severity": "critical"}, "lines": "status = 500", "annotations": {"summary": "{{endpoint}}: {{value}}"},
}  # fmt: skip


def lines(endpoint: str, count: int = 10, ahead: timedelta = timedelta()) -> bytes:
    at = (datetime.now(UTC) + ahead).isoformat()
    return "\n".join(json.dumps({"timestamp": at, "endpoint": endpoint, "status": 500}) for _ in range(count)).encode()


def alerts(node: RunningNode) -> dict[str, dict[str, Any]]:
    return {a["labels"].get("endpoint", ""): a for a in node.get("/v1/alerts").json["alerts"] if a["rule"] == "busy"}


def put(node: RunningNode, name: str, rule: dict[str, Any]) -> Any:
    answer = node.request("PUT", f"/v1/alerts/rules/{name}", json.dumps(rule).encode())
    assert answer.status == 200, answer.body
    return answer.json


def messages(web: Web, endpoint: str) -> list[dict[str, Any]]:
    """Of alerts with this endpoint, in the order of their coming."""
    bodies = [body for _, _, body in web.taken]
    return [a for body in bodies for a in body["alerts"] if a["labels"].get("endpoint") == endpoint]


def make(folder: Path, web: Web) -> RunningNode:
    (folder / "views").mkdir()
    (folder / "views" / "per_second.sql").write_text(VIEW)
    (folder / "rules").mkdir()
    (folder / "rules" / "channels.toml").write_text(
        f"""external_url = "https://logs.example.com"
[notify]
group_by = ["alertname", "endpoint"]
group_wait = "0s"
group_interval = "1s"
[[channel]]
name = "hook"
kind = "alertmanager_webhook"
url = "{web.url}"
"""
    )
    (folder / "tailrace.toml").write_text(f'alerts_dir = "rules"\n{QUICK}')
    return RunningNode(folder / "data", config=folder / "tailrace.toml")


@pytest.mark.kill
def test_from_lines_to_a_message_through_a_kill_to_its_end(tmp_path: Path) -> None:
    with receiving() as web, make(tmp_path, web) as node:
        until(lambda: "per_second" in str(node.get("/v1/views").body), lambda: node.get("/v1/views").body)
        until(lambda: node.get("/v1/views/per_second").status == 200, lambda: node.get("/v1/views/per_second").body)
        put(node, "busy", RULE)
        node.post_logs(lines("/future", ahead=timedelta(hours=1)))
        node.post_logs(lines("/a"))
        until(lambda: bool(messages(web, "/a")), lambda: (alerts(node), node.get("/v1/alerts/rules/busy").body))
        (told,) = messages(web, "/a")
        assert told["status"] == "firing"
        assert told["annotations"]["summary"] == "/a: 10"
        assert "n of view per_second over 1s (endpoint = /a): 10 > 3" in told["annotations"]["explain"]
        assert '"status":500' in told["annotations"]["lines"]
        assert told["generatorURL"].startswith("https://logs.example.com/?page=alerts&rule=busy")
        before = alerts(node)["/a"]

        node.kill_all()
        node.start()
        until(lambda: "/a" in alerts(node), node.log_end)
        after = alerts(node)["/a"]
        assert {k: after[k] for k in ("fingerprint", "fired_at")} == {k: before[k] for k in ("fingerprint", "fired_at")}
        node.post_logs(lines("/b"))
        until(lambda: bool(messages(web, "/b")), lambda: alerts(node))
        assert len(messages(web, "/a")) == 1, "what was told before the kill is not told again"

        put(node, "busy", RULE | {"keep_firing_for": "1s"})
        until(lambda: len(messages(web, "/a")) == 2, lambda: (alerts(node), web.taken[-1]))
        assert messages(web, "/a")[1]["status"] == "resolved"
        assert messages(web, "/a")[1]["fingerprint"] == told["fingerprint"]
        changes = [
            h["to"]
            for h in node.get("/v1/alerts/history", rule="busy").json["history"]
            if h["key"] == {"endpoint": "/a"}
        ]
        assert changes == ["ok", "recovering", "firing"]
        assert messages(web, "/future") == []


def test_rules_by_hand_by_file_and_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with receiving() as web, make(tmp_path, web) as node:
        url = ["--url", f"http://127.0.0.1:{node.port}"]
        answer = node.request(
            "PUT", "/v1/alerts/rules/wrong", b'{"view": "endpoint_health", "value": "nothing", "above": 1}'
        )
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid")
        file = tmp_path / "rules" / "mine.toml"
        file.write_text('view = "endpoint_health"\nvalue = "requests"\nabove = 1000\n')
        until(lambda: node.get("/v1/alerts/rules/mine").status == 200, lambda: node.get("/v1/alerts").body)
        file.write_text('view = "endpoint_health"\nvalue = "requests >"\nabove = 1000\n')
        until(lambda: node.get("/v1/alerts/rules/mine").json["error"] is not None, lambda: node.get("/v1/alerts").body)
        assert node.get("/v1/alerts/rules/mine").json["rule"]["value"] == "requests", "the last good one goes on"
        assert main(["alerts", "check", str(file)]) == 1
        assert "requests >" in capsys.readouterr().out

        assert main(["alerts", "silence", "add", "endpoint=/a", "--for", "1h", "--json", *url]) == 0
        silence = json.loads(capsys.readouterr().out)
        assert silence["status"] == "active"
        assert main(["alerts", "silence", "remove", silence["id"], *url]) == 0
        assert main(["alerts", "silence", "remove", silence["id"], *url]) == 2
        assert main(["alerts", "test", "hook", *url]) == 0
        assert web.taken[-1][2]["alerts"][0]["labels"]["alertname"] == "test"
        web.status = 500
        assert main(["alerts", "test", "hook", *url]) == 3
        assert main(["alerts", "test", "nobody", *url]) == 2
        assert main(["alerts", "list", *url]) == 0
        assert main(["alerts", "preview", "server-errors", "--json", *url]) == 0
        assert main(["alerts", "rules", *url]) == 0
        shipped = node.request("DELETE", "/v1/alerts/rules/server-errors")
        assert (shipped.status, "enabled = false" in shipped.json["error"]["hint"]) == (409, True)
