"""Files, OTLP and Python's logging into a real node, which is killed meanwhile: what was logged is in the views once."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace import LogHandler
from tailrace.testing.node import RunningNode
from tests.e2e.waiting import until
from tests.formats.test_otlp import request

CONFIG = """
[[formats]]
name = "java"
pattern = '^(?P<time>\\S+) (?P<level>[A-Z]+) (?P<service>\\S+) (?P<message>.*)$'
multiline = { start = '^\\d{4}-' }
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    config = tmp_path / "tailrace.toml"
    config.write_text(CONFIG)
    running = RunningNode(tmp_path / "data", config=config)
    running.start()
    yield running
    running.kill_all()


def by_service(node: RunningNode) -> dict[str, int]:
    answer = node.view("records_by_service", total="true")
    service, records = answer["columns"].index("service"), answer["columns"].index("records")
    found: dict[str, int] = {}
    for row in answer["rows"]:
        found[row[service]] = found.get(row[service], 0) + row[records]
    return found


@contextmanager
def shipping(node: RunningNode, log: Path) -> Iterator[None]:
    words = ["ship", str(log), "--to", f"http://127.0.0.1:{node.port}", "--format", "java", "--state", f"{log}.state"]
    words += ["--config", str(log.with_name("tailrace.toml")), "--flush-record", "0.2"]
    with log.with_name("ship.log").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "tailrace.cli.main", *words], stdout=out, stderr=out)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.with_name("ship.log").read_text()
    finally:
        process.kill()
        process.wait()


def write(log: Path, count: int) -> None:
    """Records of three lines each."""
    with log.open("a") as file:
        for n in range(count):
            file.write(f"2026-11-23T10:00:{n % 60:02d}Z ERROR shop failed {n}\n  at a\n  at b\n")


def test_what_goes_in_by_all_ways_is_counted_once(node: RunningNode, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, 300)
    handler = LogHandler(
        f"http://127.0.0.1:{node.port}", service="python", close_timeout_s=60, on_error=lambda text: None
    )
    with shipping(node, log):
        until(lambda: by_service(node).get("shop", 0) >= 299, node.log_end)
        node.kill_all()
        write(log, 200)
        log.rename(tmp_path / "app.log.1")
        write(log, 100)
        for n in range(50):
            handler.emit(logging.LogRecord("x", logging.INFO, "f", 1, "record %d", (n,), None))
        node.start()
        until(lambda: by_service(node).get("shop", 0) >= 600, node.log_end)
    message = request({"http.route": "/a"})
    message.resource_logs[0].resource.attributes[0].value.string_value = "otel"
    headers = {"Content-Type": "application/x-protobuf", "Tailrace-Producer": "otel;0;1"}
    for _ in range(2):
        answer = node.request("POST", "/v1/otlp/v1/logs", message.SerializeToString(), headers)
        assert (answer.status, answer.body) == (200, b"")
    handler.close()
    assert handler.producer.counts().acked == 50
    expected = {"shop": 600, "python": 50, "otel": 1}
    until(lambda: by_service(node) == expected, lambda: by_service(node))
    assert node.pipeline()["ledger"]["dead_lettered"] == 0
