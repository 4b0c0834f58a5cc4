"""Producers and verify against a real node: nothing that was acknowledged is lost or doubled, whatever is killed, and verify can tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tailrace.producers.control import tell
from tailrace.producers.manifest import read_manifest
from tailrace.runtime.clock import SystemClock
from tailrace.testing.node import RunningNode, descendants, kill

CLOCK = SystemClock()
TIMELINE = """
[[event]]
scenario = "late"
share = 0.05
ahead = 0.01
[[event]]
scenario = "duplicates"
share = 0.02
[[event]]
scenario = "poison"
share = 0.02
[[event]]
at = "1s"
for = "2s"
scenario = "ddos"
"""


class Producing:
    """`tailrace produce` in a process of its own. A context manager: whatever is left at its end is killed."""

    def __init__(self, folder: Path, name: str, to: str, *words: str) -> None:
        self.manifest = folder / f"{name}.ndjson"
        # A socket's path has to be short.
        self._runtime = tempfile.TemporaryDirectory(prefix="tr-")
        command = [sys.executable, "-m", "tailrace.cli.main", "produce", "--to", to, "--json", *words]
        self._process = subprocess.Popen(
            [*command, "--manifest", str(self.manifest)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": self._runtime.name},
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.control = Path(self._runtime.name) / f"tailrace-produce-{os.getuid()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        self._runtime.cleanup()

    @property
    def workers(self) -> list[int]:
        return descendants(self.pid)

    def kill_all(self) -> None:
        for pid in (self.pid, *self.workers):
            kill(pid)
        if self._process.stdout is not None and not self._process.stdout.closed:
            self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def result(self) -> tuple[int, dict[str, Any]]:
        out, errors = self._process.communicate(timeout=120)
        assert out.strip(), errors
        return self._process.returncode, json.loads(out.splitlines()[-1])

    def acked(self) -> int:
        return len(read_manifest(self.manifest).acked) if self.manifest.exists() and self.manifest.stat().st_size else 0


def eventually(what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline_s = CLOCK.monotonic_s() + seconds
    while not holds():
        assert CLOCK.monotonic_s() < deadline_s, f"never: {what}"
        CLOCK.sleep(0.05)


def verified(*words: str | Path) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tailrace.cli.main", "verify", "--json", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(tmp_path_factory.mktemp("verify") / "data") as running:
        yield running


def url(node: RunningNode) -> str:
    return f"http://127.0.0.1:{node.port}"


def killed_in_turn(node: RunningNode, role: str) -> None:
    pid = node.pids()[role][0]
    kill(pid)
    eventually(f"another {role}", lambda: (found := node.pids().get(role, [])) != [] and pid not in found)


@pytest.mark.kill
@pytest.mark.slow
def test_totals_are_exact_through_kills_a_split_and_other_traffic(node: RunningNode, tmp_path: Path) -> None:
    timeline = tmp_path / "all.toml"
    timeline.write_text(TIMELINE)
    words = ("--rate", "3000", "--processes", "3", "--duration", "7s", "--scenario", str(timeline), "--patience", "60s")
    other = b'{"timestamp":"%s","service":"auth","endpoint":"/login","status":200,"response_ms":1.5}\n'
    with Producing(tmp_path, "all", url(node), *words) as producing:
        eventually("the first acknowledgements", lambda: producing.acked() > 5)
        killed_in_turn(node, "ingest")
        shard = next(s["id"] for s in node.pipeline()["shards"] if s["state"] == "open")
        eventually("a split", lambda: node.request("POST", f"/v1/shards/{shard}/split").status < 300)
        killed_in_turn(node, "node")
        node.wait_ready()
        code, counts = producing.result()
    assert (code, counts["failed"], counts["sent"]) == (0, 0, counts["acked"])
    manifest = read_manifest(producing.manifest)
    assert {label.scenario for label in manifest.labels} == {"late", "duplicates", "poison", "ddos"}
    # Another program's records, in windows and cells that the run has too.
    stamp = manifest.begin.begun_at.encode()
    assert node.post_logs(other % stamp * 50).json["accepted"] == 50
    for covered in ((), ("--covered",)):
        code, verdict = verified(producing.manifest, *covered)
        assert code == 0, verdict
        assert (verdict["missing"], verdict["doubled"], verdict["open_ended"]) == (0, 0, [])
        assert verdict["sent"] == counts["sent"] - verdict["sent_twice"] > 21_000
        assert verdict["counted_once"] == verdict["sent"] - sum(verdict["dead_letters"].values())
        assert verdict["cells_with_other_traffic"] == 1
        assert set(verdict["dead_letters"]) == {"malformed", "no_timestamp", "bad_timestamp", "not_an_object"}
        assert verdict["sent_twice"] > 0


@pytest.mark.kill
@pytest.mark.slow
def test_boto3_is_exact_through_kills_and_a_split_where_records_have_ids(tmp_path: Path) -> None:
    """A call whose answer is lost is made again; `trace_id` tells the node which of its records it has."""
    config = tmp_path / "tailrace.toml"
    config.write_text('[kinesis]\nid_field = "trace_id"\n')
    with RunningNode(tmp_path / "data", config=config) as node:
        words = (
            "--endpoint-url",
            url(node),
            "--rate",
            "2000",
            "--processes",
            "3",
            "--duration",
            "6s",
            "--patience",
            "60s",
        )
        with Producing(tmp_path, "boto3", "kinesis://logs", *words) as producing:
            eventually("the first acknowledgements", lambda: producing.acked() > 5)
            killed_in_turn(node, "ingest")
            shard = next(s["id"] for s in node.pipeline()["shards"] if s["state"] == "open")
            eventually("a split", lambda: node.request("POST", f"/v1/shards/{shard}/split").status < 300)
            killed_in_turn(node, "node")
            node.wait_ready()
            code, counts = producing.result()
        assert (code, counts["failed"], counts["sent"]) == (0, 0, 12_000)
        code, verdict = verified(producing.manifest, "--to", url(node))
        assert (code, verdict["sent"], verdict["counted_once"]) == (0, 12_000, 12_000), verdict


@pytest.mark.kill
@pytest.mark.slow
def test_a_producer_killed_with_all_its_processes_leaves_a_manifest_that_verifies(
    node: RunningNode, tmp_path: Path
) -> None:
    words = ("--rate", "20000", "--processes", "2", "--duration", "60s", "--connections", "4")
    with Producing(tmp_path, "killed", url(node), *words) as producing:
        eventually("acknowledgements", lambda: producing.acked() > 20)
        producing.kill_all()
    manifest = read_manifest(producing.manifest)
    assert manifest.end is None
    code, verdict = verified(producing.manifest)
    assert code == 0, verdict
    acked = sum(manifest.posts[n].lines for n in manifest.acked)
    assert acked <= verdict["sent"] <= acked + verdict["never_acknowledged"]
    assert verdict["sent"] == acked + verdict["of_these_stored"]
    assert verdict["open_ended"] == verdict["runs"] == [manifest.begin.spec.run]


@pytest.mark.kill
@pytest.mark.slow
def test_one_process_that_is_killed_is_replaced_and_nothing_is_doubled(node: RunningNode, tmp_path: Path) -> None:
    words = ("--rate", "4000", "--processes", "2", "--duration", "4s")
    with Producing(tmp_path, "one", url(node), *words) as producing:
        eventually("acknowledgements", lambda: producing.acked() > 8)
        kill(producing.workers[-1])
        code, _ = producing.result()
    assert code == 0
    code, verdict = verified(producing.manifest)
    assert (code, verdict["sent"], verdict["counted_once"]) == (0, 16_000, 16_000), verdict


def test_processes_end_when_whoever_started_them_is_gone(node: RunningNode, tmp_path: Path) -> None:
    with Producing(
        tmp_path, "orphans", url(node), "--rate", "500", "--processes", "2", "--duration", "60s"
    ) as producing:
        eventually("acknowledgements", lambda: producing.acked() > 2)
        workers = producing.workers
        kill(producing.pid)
        eventually(
            "their end", lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and _lives(pid) for pid in workers)
        )
    assert verified(producing.manifest)[0] == 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_waits_for_what_is_on_the_way(node: RunningNode, tmp_path: Path, number: signal.Signals) -> None:
    with Producing(tmp_path, "told", url(node), "--rate", "2000", "--processes", "2", "--duration", "60s") as producing:
        eventually("acknowledgements", lambda: producing.acked() > 5)
        producing.signal(number)
        code, counts = producing.result()
    manifest = read_manifest(producing.manifest)
    assert (code, counts["sent"]) == (0, counts["acked"])
    assert manifest.end is not None
    assert (manifest.end.whole, manifest.in_doubt) == (False, [])
    assert verified(producing.manifest)[0] == 0


def test_orders_are_obeyed_by_all_processes_and_stand_in_the_manifest(node: RunningNode, tmp_path: Path) -> None:
    with Producing(tmp_path, "ctl", url(node), "--rate", "500", "--processes", "3", "--duration", "60s") as producing:
        eventually("acknowledgements", lambda: producing.acked() > 3)
        assert tell({"rate": "3000"}, folder=producing.control)["rate"] == 3000
        state = tell({"scenario": "outage", "for": "30s", "endpoint": "/home", "ramp": "0s"}, folder=producing.control)
        assert state["rate"] == 3000
        eventually(
            "the new rate", lambda: any(p.lines == 300 for p in read_manifest(producing.manifest).posts.values())
        )
        assert tell({"pause": ""}, folder=producing.control)["paused"]
        assert not tell({"resume": ""}, folder=producing.control)["paused"]
        tell({"stop": ""}, folder=producing.control)
        code, _ = producing.result()
    manifest = read_manifest(producing.manifest)
    assert code == 0
    assert [change.rate for change in manifest.rates] == [3000, 0, 3000]
    assert [(label.scenario, label.endpoints) for label in manifest.labels] == [("outage", ["/home"])]
    assert verified(producing.manifest)[0] == 0


@pytest.mark.slow
def test_a_node_that_is_away_is_waited_for(node: RunningNode, tmp_path: Path) -> None:
    words = ("--rate", "1000", "--processes", "2", "--duration", "4s", "--patience", "60s")
    with Producing(tmp_path, "away", url(node), *words) as producing:
        eventually("acknowledgements", lambda: producing.acked() > 5)
        node.kill_all()
        eventually("posts without an answer", lambda: len(read_manifest(producing.manifest).in_doubt) > 3)
        node.start()
        code, counts = producing.result()
    assert (code, counts["sent"], counts["acked"]) == (0, 4_000, 4_000)
    assert counts["retries"] > 0
    assert verified(producing.manifest)[0] == 0


def test_verify_names_what_is_missing_and_what_is_doubled(node: RunningNode, tmp_path: Path) -> None:
    """Lines that went to a file are brought to the node by hand: whole, then with one left out and one twice."""
    made = tmp_path / "made.ndjson"
    words = ("--rate", "2000", "--duration", "500ms", "--seed", "9")
    with Producing(tmp_path, "file", f"file://{made}", *words) as producing:
        assert producing.result()[0] == 0
    lines = made.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1_000
    assert node.post_logs(b"".join(lines[1:])).json["accepted"] == 999
    code, verdict = verified(producing.manifest, "--to", url(node))
    assert (code, verdict["missing"], verdict["doubled"], verdict["counted_once"]) == (1, 1, 0, 999)
    first = json.loads(lines[0])
    found = verdict["differences"][0]
    assert [found[name] for name in ("service", "endpoint", "status")] == [
        first[name] for name in ("service", "endpoint", "status")
    ]
    assert node.post_logs(lines[0]).json["accepted"] == 1
    assert verified(producing.manifest, "--to", url(node))[0] == 0
    assert node.post_logs(lines[5] + lines[7]).json["accepted"] == 2
    code, verdict = verified(producing.manifest, "--to", url(node))
    assert (code, verdict["missing"], verdict["doubled"], verdict["counted_once"]) == (1, 0, 2, 998)


def test_verify_needs_a_node(tmp_path: Path) -> None:
    with Producing(tmp_path, "nobody", f"file://{tmp_path}/x", "--rate", "100", "--duration", "200ms") as producing:
        assert producing.result()[0] == 0
    words = [sys.executable, "-m", "tailrace.cli.main", "verify", str(producing.manifest), "--to", "http://127.0.0.1:9"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 3
