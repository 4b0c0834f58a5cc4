"""A backup taken under load, put back elsewhere: everything acknowledged before it is there once, and the node goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import count_of, until, until_covered

pytestmark = pytest.mark.slow


def tailrace(folder: Path, *words: str, code: int = 0, env: Mapping[str, str] | None = None) -> Any:
    run = [sys.executable, "-m", "tailrace.cli.main", *words, "--json"]
    surroundings = {**os.environ, **(env or {})}
    done = subprocess.run(run, capture_output=True, timeout=120, check=False, cwd=folder, env=surroundings)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout or done.stderr)


def lines(first: int, count: int) -> bytes:
    rows = (
        {"timestamp": f"2026-03-01T00:00:{n % 60:02d}Z", "endpoint": f"/{n % 7}"} for n in range(first, first + count)
    )
    return "\n".join(map(json.dumps, rows)).encode()


class Load:
    """Stamped posts of ten lines, one after the other; `acknowledged`: how many."""

    def __init__(self, node: RunningNode) -> None:
        self.acknowledged = 0
        self._node = node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.send(self.acknowledged)
            self.acknowledged += 1

    def send(self, number: int) -> Any:
        return self._node.post_logs(lines(number * 10, 10), stamp=f"load;1;{number}").json

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def test_a_backup_under_load_goes_on_elsewhere(tmp_path: Path) -> None:
    views = tmp_path / "views"
    views.mkdir()
    (views / "own.sql").write_text(
        "CREATE VIEW own AS SELECT time_bucket(INTERVAL '1 minute', timestamp) AS w, count(*) AS requests FROM logs GROUP BY ALL"
    )
    with RunningNode(tmp_path / "data") as node:
        node.post_logs(b"no json")
        load = Load(node)
        until(lambda: load.acknowledged > 100, lambda: load.acknowledged)
        until_moved(node)
        pinned = node.request("POST", "/v1/pins", b'{"view":"own","query":{"total":true}}').json["id"]
        board = b'{"uid":"own","title":"Own","panels":[]}'
        assert node.request("PUT", "/v1/dashboards/own", board).status == 200
        assert node.request("POST", "/v1/annotations", b'{"text":"out"}').status == 201
        before = load.acknowledged
        taken = tailrace(tmp_path, "backup", "copy", "--data", "data")
        after = load.acknowledged
        assert after > before, "posts went on"
        load.stop()
        until(lambda: until_covered(node)["ledger"]["balanced"], node.pipeline)
        again = tailrace(tmp_path, "backup", "copy", "--data", "data", code=2)
        assert "holds a backup already" in again["error"]["message"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert tailrace(elsewhere, "restore", "../copy", "--data", "data")["files"] == taken["files"]
    with RunningNode(elsewhere / "data") as node:
        until(lambda: node.get("/v1/views/own").status == 200, lambda: node.get("/v1/views").json)
        count = count_of(node)
        assert before * 10 <= count <= (after + 1) * 10
        assert count_of(node, "own") == count
        # The query process may come up a little after the node.
        until(lambda: node.get(f"/v1/pins/{pinned}").json["checked"], lambda: node.get(f"/v1/pins/{pinned}").json)
        assert not node.get(f"/v1/pins/{pinned}").json["differs"]
        assert node.get("/v1/dashboards/own").json["source"] == "own"
        assert len(node.get("/v1/annotations").json["annotations"]) == 1
        # The stamp of a post before the backup is still known, and the next one counts.
        assert load_answer(node, before - 1)["deduplicated"] == 10
        assert load_answer(node, 10**6)["accepted"] == 10
        state = until_covered(node)
        assert state["ledger"]["balanced"]
        assert (state["ledger"]["dead_lettered"], node.get("/v1/deadletters").json["total"]) == (1, 1)
        assert count_of(node) == count + 10
    checks = tailrace(elsewhere, "doctor", "--data", "data", "--deep", "--listen", f"127.0.0.1:{node.port}")["checks"]
    assert [check for check in checks if check["status"] == "fail"] == []


def load_answer(node: RunningNode, number: int) -> Any:
    return node.post_logs(lines(number * 10, 10), stamp=f"load;1;{number}").json


def until_moved(node: RunningNode) -> None:
    """Until the frontier has moved: there is something in every part."""
    until(lambda: any(epoch > 0 for epoch in node.pipeline()["frontier"].values()), node.pipeline)


def test_a_backup_that_was_damaged_or_cut_short_is_not_put_back(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "data") as node:
        node.post_logs(lines(0, 50))
    tailrace(tmp_path, "backup", "copy", "--data", "data")
    assert "not empty" in tailrace(tmp_path, "restore", "copy", "--data", "data", code=2)["error"]["message"]

    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "copy", damaged)
    (path,) = sorted((damaged / "stream" / "logs").glob("*0/*.db"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused = tailrace(tmp_path, "restore", "damaged", "--data", "fresh", code=3)
    assert path.name in refused["error"]["message"]

    (damaged / "backup.json").unlink()
    assert "backup.json" in tailrace(tmp_path, "restore", "damaged", "--data", "other", code=2)["error"]["message"]
    assert "no place" in tailrace(tmp_path, "backup", "ftp://host/x", "--data", "data", code=2)["error"]["message"]
    assert "no data" in tailrace(tmp_path, "backup", "x", "--data", "nowhere", code=2)["error"]["message"]
