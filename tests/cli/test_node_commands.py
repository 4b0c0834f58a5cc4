"""The commands against a real node: what they print, and that it is right."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tailrace.cli.main import main
from tailrace.runtime.clock import SystemClock
from tailrace.testing.node import RunningNode

pytestmark = pytest.mark.slow
CLOCK = SystemClock()
MINE = """CREATE VIEW by_ip AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, ip, count(*) AS requests
FROM logs GROUP BY ALL;
"""
LOGINS = "CREATE STREAM logins AS SELECT * FROM logs WHERE endpoint = '/login'"
SLOW_LOGINS = "CREATE STREAM slow_logins AS SELECT * FROM logins WHERE response_ms > 20 -- ms"
BY_SLOW_IP = MINE.replace("by_ip", "by_slow_ip").replace("FROM logs", "FROM slow_logins")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with 600 lines of made-up traffic, views and streams of its own, and files that are wrong."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "views").mkdir()
    (folder / "views" / "by_ip.sql").write_text(MINE)
    (folder / "views" / "wrong.sql").write_text(MINE.replace("count(*)", "median(status)"))
    (folder / "views" / "by_slow_ip.sql").write_text(BY_SLOW_IP)
    (folder / "views" / "logins.sql").write_text(LOGINS)
    (folder / "views" / "slow_logins.sql").write_text(SLOW_LOGINS)
    (folder / "views" / "lost.sql").write_text("CREATE STREAM lost AS SELECT * FROM nothing WHERE status > 1")
    with RunningNode(folder / "data") as running:
        done = run(running, "produce", "--rate", "300", "--duration", "2s", "--no-manifest", "--json", target="--to")
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)
        assert (counts["sent"], counts["acked"], counts["failed"]) == (600, 600, 0)
        yield running


@pytest.fixture
def url(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commands called in this process talk to the node by TAILRACE_URL."""
    monkeypatch.setenv("TAILRACE_URL", f"http://127.0.0.1:{node.port}")
    return f"http://127.0.0.1:{node.port}"


def run(node: RunningNode, *words: str, target: str = "--url") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tailrace.cli.main", *words, target, f"http://127.0.0.1:{node.port}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def until_live(view: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `views list` prints once `view` is there and no view is being built."""
    deadline_s = CLOCK.monotonic_s() + 60
    while "building" in (shown := printed(capsys, "views", "list")) or view not in shown:
        assert CLOCK.monotonic_s() < deadline_s
        CLOCK.sleep(0.2)
    return shown


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("url")
def test_query_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT count(*) AS n, min(service) AS first FROM logs"]) == 0
    shown = capsys.readouterr()
    lines = [line.split("│") for line in shown.out.replace("┃", "│").splitlines()]
    assert [word.strip() for word in lines[0]] == ["n", "first"]
    assert [word.strip() for word in lines[2]] == ["600", "auth"]
    assert shown.err.startswith("1 row, ")


@pytest.mark.usefixtures("url")
def test_query_prints_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT endpoint, count(*) AS n FROM logs GROUP BY ALL ORDER BY endpoint"
    document = json.loads(printed(capsys, "query", "--json", sql))
    rows = list(csv.reader(io.StringIO(printed(capsys, "query", "--csv", sql))))
    assert [c["name"] for c in document["columns"]] == rows[0] == ["endpoint", "n"]
    assert [[e, str(n)] for e, n in document["rows"]] == rows[1:]
    assert sum(n for _, n in document["rows"]) == 600


@pytest.mark.usefixtures("url")
def test_query_reads_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 42 AS answer"))
    assert json.loads(printed(capsys, "query", "--json", "-"))["rows"] == [[42]]


@pytest.mark.usefixtures("url")
def test_views_are_tables_of_the_same_numbers(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT window_start, endpoint, requests, response_ms_sum FROM endpoint_health ORDER BY ALL"
    by_sql = json.loads(printed(capsys, "query", "--json", sql), parse_float=Decimal)["rows"]
    answer = node.view("endpoint_health")
    wanted = [answer["columns"].index(c) for c in ("window_start", "endpoint", "requests", "response_ms_sum")]
    assert by_sql == sorted([row[i] for i in wanted] for row in answer["rows"])


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM logs", "SELECT * FROM nowhere", "DROP TABLE logs"])
@pytest.mark.usefixtures("url")
def test_wrong_sql_ends_with_2_and_says_what(sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", sql]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")


@pytest.mark.usefixtures("url")
def test_tail_prints_the_newest_records_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        json.loads(line) for line in printed(capsys, "tail", "--json", "--limit", "50", "--count", "50").splitlines()
    ]
    assert len(records) == 50
    assert all(len(r["_sequence_number"]) == 56 and r["_shard"].startswith("shardId-") for r in records)
    assert len({(r["_shard"], r["_sequence_number"]) for r in records}) == 50


@pytest.mark.usefixtures("url")
def test_tail_filters(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "tail", "--where", "endpoint = '/login'", "--limit", "5", "--count", "5").splitlines()
    assert len(lines) == 5
    assert all(" POST /login " in line for line in lines)
    assert main(["tail", "--where", "nothing = 1"]) == 2


@pytest.mark.usefixtures("url")
def test_tail_of_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("tail", "--stream", "logins", "--where", "response_ms > 1", "--json", "--limit", "5", "--count", "5")
    records = [json.loads(line) for line in printed(capsys, *words).splitlines()]
    assert {r["endpoint"] for r in records} == {"/login"}
    assert main(["tail", "--stream", "nowhere"]) == 2
    assert "streams: logins, slow_logins" in capsys.readouterr().err
    assert main(["tail", "--stream", "lost"]) == 2
    assert "there is no stream `nothing`" in capsys.readouterr().err


@pytest.mark.usefixtures("url")
def test_streams_are_listed_with_what_reads_them(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {s["name"]: s for s in json.loads(printed(capsys, "streams", "list", "--json"))["streams"]}
    assert listed.keys() == {"logins", "slow_logins", "lost"}
    assert (listed["logins"]["reads"], listed["logins"]["condition"]) == ("logs", "endpoint = '/login'")
    assert (listed["logins"]["streams"], listed["logins"]["views"]) == (["slow_logins"], [])
    assert (listed["slow_logins"]["reads"], listed["slow_logins"]["views"]) == ("logins", ["by_slow_ip"])
    assert "there is no stream `nothing`" in listed["lost"]["error"]["message"]
    assert listed["lost"]["error"]["file"] == "lost.sql"
    shown = {line.split("│")[0].strip(): line for line in printed(capsys, "streams", "list").splitlines()}
    assert "live" in shown["slow_logins"]
    assert "failed" in shown["lost"]


@pytest.mark.usefixtures("url")
def test_a_view_over_a_stream_is_exact(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the records themselves, by the stream and by its condition written out."""
    until_live("by_slow_ip", capsys)
    for relation in ("slow_logins", "logs WHERE endpoint = '/login' AND response_ms > 20"):
        sql = f"SELECT ip, count(*) FROM {relation} GROUP BY ALL ORDER BY ALL"
        wanted = json.loads(printed(capsys, "query", "--json", sql))["rows"]
        assert wanted
        assert [row[1:] for row in node.view("by_slow_ip", total="true")["rows"]] == wanted


def test_tail_goes_on_after_the_node_came_back(node: RunningNode, url: str) -> None:
    command = [
        sys.executable,
        "-m",
        "tailrace.cli.main",
        "tail",
        "--json",
        "--limit",
        "1",
        "--count",
        "2",
        "--url",
        url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout
        first = json.loads(following.stdout.readline())
        (pid,) = node.pids()["node"]
        os.kill(pid, signal.SIGKILL)
        again = threading.Event()
        sender = threading.Thread(target=_keep_sending, args=(node, again))
        sender.start()
        try:
            second = json.loads(following.stdout.readline())
        finally:
            again.set()
            sender.join()
        assert following.wait(30) == 0
    assert first["message"] != "marker"
    assert second["message"] == "marker"
    node.wait_ready()


def _keep_sending(node: RunningNode, stop: threading.Event) -> None:
    line = b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/marker","message":"marker"}\n'
    while not stop.wait(0.2):
        try:
            node.post_logs(line)
        except OSError:
            continue


def explained(node: RunningNode, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[dict[str, Any], str]:
    """The newest window of the view, as JSON and as text; asked again if the frontier moved between the two."""
    sql = "SELECT max(window_start) FROM endpoint_health WHERE endpoint = '/login'"
    window = json.loads(printed(capsys, "query", "--json", sql))["rows"][0][0]
    while True:
        before = json.loads(printed(capsys, "explain", "--json", "endpoint_health", window, *more))
        text = printed(capsys, "explain", "endpoint_health", window, *more)
        after = json.loads(printed(capsys, "explain", "--json", "endpoint_health", window, *more))
        if before == after:
            return before, text


@pytest.mark.usefixtures("url")
def test_explain_shows_both_sides_and_what_they_make(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    found, text = explained(node, capsys, "--where", "endpoint = '/login'")
    columns = found["merged"]["columns"]
    at = columns.index("requests")
    sides = [sum(row[at] for row in found[side]["rows"]) for side in ("batch", "speed", "merged")]
    assert sides[0] + sides[1] == sides[2] > 0
    for title in ("1  Frontier", "2  Batch part", "3  Speed part", "4  Merge", "5  Check"):
        assert title in text
    assert "the row endpoint = /login, step by step:" in text
    step = next(line for line in text.splitlines() if line.split("│")[0].strip() == "requests")
    shown = [word.strip().replace("-", "0") for word in step.split("│")[1:4]]
    assert [int(word) for word in shown] == sides
    assert "counts are added" in step


def test_explain_refuses_what_it_does_not_know(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["nothing", "now"], ["endpoint_health", "soon"], ["endpoint_health", "now-soon"]):
        assert main(["explain", *words]) == 2
    assert url
    assert "there is no view `nothing`" in capsys.readouterr().err


@pytest.mark.usefixtures("url")
def test_views_list_shows_live_own_and_failed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    shown = until_live("by_ip", capsys)
    rows = {line.split("│")[0].strip(): line for line in shown.splitlines()}
    assert "live" in rows["endpoint_health"]
    assert "live" in rows["by_ip"]
    assert "1 min" in rows["by_ip"]
    assert "failed" in rows["wrong.sql"]
    listed = json.loads(printed(capsys, "views", "list", "--json"))["views"]
    assert {v["name"]: v["status"] for v in listed}["wrong.sql"] == "failed"


def doctor(node: RunningNode, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, dict[str, str]]]:
    words = ["doctor", "--json", "--data", str(node.data_dir), "--listen", f"127.0.0.1:{node.port}", *more]
    code = main(words)
    return code, {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_doctor_finds_a_running_node_sound(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = doctor(node, capsys, "--deep", "--views", str(node.data_dir.with_name("views")))
    assert [c for c in checks.values() if c["status"] == "fail"] == []
    assert code == 0
    assert checks["lock"]["detail"] == f"held by the node with pid {node.pid}"
    assert str(node.port) in checks["port"]["detail"]
    assert "no gaps (every block read)" in checks["stream"]["detail"]
    assert checks["views"]["status"] == "warn"
    assert "wrong.sql" in checks["views"]["detail"]


def test_a_second_node_on_the_folder_is_told_who_has_it(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--data", str(node.data_dir), "--listen", "127.0.0.1:0"]) == 3
    shown = capsys.readouterr().err
    assert f"with pid `{node.pid}`" in shown
    assert "--data" in shown
