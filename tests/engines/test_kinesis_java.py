"""Amazon's own clients for Java, unchanged, at the Kinesis API of a node: the SDK, and the Kinesis client library."""

from __future__ import annotations

import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import until, until_covered
from tests.engines.dynamodb import dynamodb
from tests.engines.jvm import java, run

pytestmark = [pytest.mark.java, pytest.mark.slow]

PROGRAMS = Path(__file__).parent / "java"
KEYS = 23


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    with RunningNode(tmp_path / "data") as running:
        yield running


def kinesis(node: RunningNode) -> Any:
    return boto3.client(
        "kinesis",
        endpoint_url=f"http://127.0.0.1:{node.port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_the_sdk_puts_reads_and_has_pushed_to_it(tmp_path: Path, node: RunningNode) -> None:
    """Bodies in CBOR, over HTTP/2 in the clear."""
    program = [*java("kinesis-java"), str(PROGRAMS / "Sdk.java")]
    endpoint = f"http://127.0.0.1:{node.port}"
    said = run([*program, endpoint, "logs", "AKIATEST", "a secret of no use", "3000"], tmp_path, {})
    assert said.splitlines()[-1] == "done"
    assert until_covered(node)["ledger"]["stored"] == 3000


def test_signatures_are_checked_over_http2(tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text('[[keys]]\nid = "AKIATEST"\nsecret = "0123456789abcdef-of-the-test"\n')
    program = [*java("kinesis-java"), str(PROGRAMS / "Sdk.java")]
    with RunningNode(tmp_path / "data", config=tmp_path / "tailrace.toml") as node:
        asked = [f"http://127.0.0.1:{node.port}", "logs", "AKIATEST"]
        said = run([*program, *asked, "0123456789abcdef-of-the-test", "500"], tmp_path, {})
        assert said.splitlines()[-1] == "done"
        refused = subprocess.run(
            [*program, *asked, "0123456789abcdef-of-another", "500"],
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    assert refused.returncode != 0
    assert "does not match the signature you provided" in refused.stderr


@dataclass
class Application:
    """One process of the Kinesis client library. `records`: key -> (sequence, data), in the order in which they were handed over."""

    process: subprocess.Popen[str]
    log: Path
    events: list[tuple[str, str]] = field(default_factory=list)
    records: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def count(self) -> int:
        return sum(map(len, self.records.values()))

    def listen(self) -> None:
        assert self.process.stdout is not None
        for said in self.process.stdout:
            what, *rest = said.rstrip("\n").split("\t")
            if what == "record":
                _, sequence, _, key, data = rest
                self.records[key].append((int(sequence), data))
            else:
                self.events.append((what, rest[0]))

    def told(self) -> str:
        return f"{self.count} records, {self.events}, {self.log.read_text(errors='replace')[-2000:]}"


@contextmanager
def application(folder: Path, node: RunningNode, leases: str, how: str) -> Iterator[Application]:
    command = [
        *java("kinesis-java"),
        str(PROGRAMS / "Kcl.java"),
        f"http://127.0.0.1:{node.port}",
        leases,
        "logs",
        "app",
        how,
    ]
    log = folder / "kcl.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder
        )
    running = Application(process, log)
    listener = threading.Thread(target=running.listen)
    listener.start()
    try:
        yield running
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        listener.join()
        assert process.stdout is not None
        process.stdout.close()


def put(client: Any, first: int, count: int) -> None:
    for start in range(first, first + count, 200):
        numbers = range(start, min(start + 200, first + count))
        entries = [{"Data": line(n), "PartitionKey": f"/e{n % KEYS}"} for n in numbers]
        answer = client.put_records(StreamName="logs", Records=entries)
        assert answer["FailedRecordCount"] == 0


def line(n: int) -> bytes:
    return b'{"timestamp":"2026-11-22T10:00:00Z","endpoint":"/e%d","status":%d}' % (n % KEYS, n)


@pytest.mark.parametrize("how", ["fanout", "polling"])
def test_the_client_library_reads_all_through_a_split_and_a_merge(tmp_path: Path, node: RunningNode, how: str) -> None:
    """Each record once, those of a key in their order, children after their parents."""
    client = kinesis(node)
    with dynamodb(tmp_path / "dynamodb") as leases, application(tmp_path, node, leases, how) as running:
        put(client, 0, 1_000)
        until(lambda: running.count == 1_000, running.told)
        parents = client.list_shards(StreamName="logs")["Shards"]
        first = parents[0]["HashKeyRange"]
        middle = (int(first["StartingHashKey"]) + int(first["EndingHashKey"])) // 2
        client.split_shard(StreamName="logs", ShardToSplit=parents[0]["ShardId"], NewStartingHashKey=str(middle))
        put(client, 1_000, 1_000)
        children = [s for s in client.list_shards(StreamName="logs")["Shards"] if s.get("ParentShardId")]
        assert len(children) == 2
        until(lambda: running.count == 2_000, running.told)
        client.merge_shards(
            StreamName="logs", ShardToMerge=children[0]["ShardId"], AdjacentShardToMerge=children[1]["ShardId"]
        )
        put(client, 2_000, 1_000)
        until(lambda: running.count >= 3_000, running.told)
    assert {key: [data for _, data in found] for key, found in running.records.items()} == {
        f"/e{key}": [line(n).decode() for n in range(key, 3_000, KEYS)] for key in range(KEYS)
    }
    for found in running.records.values():
        assert [sequence for sequence, _ in found] == sorted(sequence for sequence, _ in found)
    order = running.events
    for child in children:
        assert order.index(("end", parents[0]["ShardId"])) < order.index(("begin", child["ShardId"]))
    client.close()
