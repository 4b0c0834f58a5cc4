"""The demo as a person starts it: traffic in the views, a real log whose counts are the file's, an orderly end, the same data again."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tailrace.pipeline.lock import is_alive
from tailrace.runtime.clock import SystemClock
from tailrace.testing.node import free_port

pytestmark = pytest.mark.slow
CLOCK = SystemClock()
REQUEST = re.compile(rb'"(?:[A-Z]+) ([^ "?]+)[^"]*" (\d{3}) ')


class Demo:
    """A running `tailrace demo --json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of that kind."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == kind:
                return self.events[-1]
        raise AssertionError(
            f"{kind} never came: {self.events[-3:]}, {self.process.stderr and self.process.stderr.read()}"
        )

    def end(self) -> dict[str, Any]:
        """Ctrl-C; what became of the lines."""
        self.process.send_signal(signal.SIGINT)
        sent = self.until("sent")
        self.until("stopped")
        assert self.process.wait(30) == 0
        assert self.process.stderr
        assert self.process.stderr.read() == ""
        return sent


@contextmanager
def demo(folder: Path, *words: str) -> Iterator[Demo]:
    command = [
        sys.executable,
        "-m",
        "tailrace.cli.main",
        "demo",
        "--json",
        "--listen",
        f"127.0.0.1:{free_port()}",
        *words,
    ]
    environment = {**os.environ, "BROWSER": "none"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        try:
            yield Demo(process)
        finally:
            if process.poll() is None:
                process.kill()


def get(url: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def counted(url: str) -> Counter[tuple[str, int]]:
    """(endpoint, status) -> requests, over all windows of the view."""
    status, body = get(url, "/v1/views/status_by_endpoint?total=true")
    assert status == 200, body
    answer = json.loads(body)
    at = [answer["columns"].index(name) for name in ("endpoint", "status", "requests")]
    return Counter({(row[at[0]], row[at[1]]): row[at[2]] for row in answer["rows"]})


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline_s = CLOCK.monotonic_s() + 60
    while not holds():
        assert CLOCK.monotonic_s() < deadline_s, f"never came: {what}"
        CLOCK.sleep(0.05)


def shared_log() -> Path:
    folder = Path(os.environ.get("TAILRACE_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    path = folder / "apache_access.log"
    if not path.exists():
        pytest.skip("the shared test data is not here")
    return path


def test_the_demo_shows_its_traffic_and_the_next_one_goes_on_with_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--rate", "500") as first:
        ready = first.until("ready")
        assert ready["url"].startswith("http://127.0.0.1:")
        assert {p["role"] for p in ready["processes"]} == {"ingest", "node", "batch", "query"}
        status, page = get(ready["url"], "/")
        assert status == 200
        assert b"<html" in page
        eventually(lambda: sum(counted(ready["url"]).values()) > 1000, "traffic in the view")
        sent = first.end()
    assert sent["sent"] == sent["acked"] > 1000
    assert not any(is_alive(p["pid"]) for p in ready["processes"])
    assert (tmp_path / "tailrace-data" / "lake").is_dir()

    (tmp_path / "a.log").write_text('{"timestamp":1431857103000,"endpoint":"/a","status":200}\n')
    with demo(tmp_path, "--replay", "a.log", "--keep-time", "--duration", "10s") as second:
        url = second.until("ready")["url"]
        eventually(lambda: counted(url)["/a", 200] == 1, "the replayed line")
        assert counted(url).total() == sent["acked"] + 1
        status, body = get(url, "/v1/views/overall_health?from=2015-05-17T10:05:00Z&to=2015-05-17T10:05:10Z")
        assert status == 200
        assert len(json.loads(body)["rows"]) == 1
        again = second.until("sent")
        second.until("stopped")
        assert second.process.wait(30) == 0
    assert (again["acked"], again["failed"]) == (1, 0)


def test_a_replayed_log_is_counted_as_the_file_says(tmp_path: Path) -> None:
    path = shared_log()
    expected: Counter[tuple[str, int]] = Counter()
    for line in path.read_bytes().splitlines():
        match = REQUEST.search(line)
        assert match, line
        expected[match[1].decode(), int(match[2])] += 1
    assert expected.total() == 10_000
    with demo(tmp_path, "--replay", str(path), "--speed", "1000000x") as played:
        url = played.until("ready")["url"]
        done = played.until("replayed")
        assert (done["sent"], done["acked"], done["dead_lettered"], done["failed"]) == (10_000, 10_000, 0, 0)
        eventually(lambda: counted(url).total() >= 10_000, "all lines in the view")
        assert counted(url) == expected
        played.end()
