"""Scripts as people have them: producers in processes, one consumer a shard, while the shards are split and merged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tailrace.testing.node import RunningNode, kill
from tests.kinesis.conftest import KEY_ID, SECRET, client_of
from tests.kinesis.reading import STREAM, shards, wait_for

PRODUCER = """
import json, sys, time
import boto3
from botocore.exceptions import BotoCoreError, ClientError

endpoint_url, key_id, secret, number, count = sys.argv[1:]
kinesis = boto3.client(
    "kinesis", region_name="us-east-1", endpoint_url=endpoint_url, aws_access_key_id=key_id, aws_secret_access_key=secret
)
ENDPOINTS = ["/login", "/logout", "/home", "/profile", "/signup"]
sent = 0
while sent < int(count):
    records = []
    for n in range(sent, sent + 100):
        endpoint = ENDPOINTS[n % len(ENDPOINTS)]
        log = {"timestamp": time.time(), "ip": "10.0.0.1", "endpoint": endpoint, "status": 200, "producer": number, "n": n}
        log["event_id"] = f"{number}-{n}"
        records.append({"Data": json.dumps(log), "PartitionKey": endpoint})
    while records:
        try:
            answer = kinesis.put_records(StreamName="logs", Records=records)
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
            continue
        records = [each for each, place in zip(records, answer["Records"]) if "ErrorCode" in place]
    sent += 100
"""


PATIENT = {"max_attempts": 20, "mode": "standard"}
"""A process that was killed is there again within seconds, on a loaded machine later."""


class Consumer(threading.Thread):
    """Reads one shard from its beginning to its end, and begins the shards that took its place. Parents come before children."""

    def __init__(self, client: Any, found: dict[str, list[dict[str, Any]]], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._found = found
        self._stop_reading = stop
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            self._read({shard["ShardId"] for shard in shards(self._client)})
        except Exception as error:  # noqa: BLE001 - the test tells it
            self.problem = error

    def _read(self, known: set[str]) -> None:
        open_now: dict[str, str] = {shard: self._begin(shard) for shard in sorted(known)}
        while open_now and not self._stop_reading.is_set():
            for shard, token in list(open_now.items()):
                page = self._client.get_records(ShardIterator=token, Limit=500)
                self._found.setdefault(shard, []).extend(page["Records"])
                if "NextShardIterator" in page:
                    open_now[shard] = page["NextShardIterator"]
                    continue
                del open_now[shard]
                for child in page["ChildShards"]:
                    if child["ShardId"] not in known and not set(child["ParentShards"]) & set(open_now):
                        known.add(child["ShardId"])
                        open_now[child["ShardId"]] = self._begin(child["ShardId"])

    def _begin(self, shard: str) -> str:
        answer = self._client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        return str(answer["ShardIterator"])


def test_producers_and_consumers_while_shards_change(tmp_path: Path) -> None:
    """Each record once, the records of a key and a producer in their order, although an ingest process is killed meanwhile."""
    (tmp_path / "views").mkdir()
    config = tmp_path / "tailrace.toml"
    config.write_text(
        f'[stream]\nseal_interval_ms = 300\n[kinesis]\nid_field = "event_id"\n[[keys]]\nid = "{KEY_ID}"\nsecret = "{SECRET}"\n'
    )
    with RunningNode(tmp_path / "data", config=config, host="0.0.0.0") as node:
        assert node.get("/v1/views").status == 401
        client = client_of(node.port, retries=PATIENT)
        client.create_stream(StreamName=STREAM, ShardCount=3)
        client.get_waiter("stream_exists").wait(StreamName=STREAM)
        assert len(client.describe_stream(StreamName=STREAM)["StreamDescription"]["Shards"]) == 3
        found: dict[str, list[dict[str, Any]]] = {}
        stop = threading.Event()
        consumer = Consumer(client_of(node.port, retries=PATIENT), found, stop)
        consumer.start()
        script = tmp_path / "producer.py"
        script.write_text(PRODUCER)
        url, count, producers = f"http://127.0.0.1:{node.port}", 2_000, 3
        processes = [
            subprocess.Popen([sys.executable, str(script), url, KEY_ID, SECRET, str(n), str(count)])
            for n in range(producers)
        ]
        try:
            for target in (4, 3, 5, 3):
                before = total(found)
                client.update_shard_count(StreamName=STREAM, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
                if target == 5:
                    kill(node.pids()["ingest"][0])
                wait_for(
                    lambda before=before: total(found) > before or all_done(processes), "records come on after a change"
                )
            assert [process.wait(60) for process in processes] == [0] * producers
            wait_for(lambda: total(found) >= count * producers or consumer.problem, "the consumer has all of them")
            stop.set()
            consumer.join(20)
            assert consumer.problem is None
        finally:
            stop.set()
            for process in processes:
                process.kill()
                process.wait()
    check(found, producers, count)


def total(found: dict[str, list[dict[str, Any]]]) -> int:
    return sum(len(records) for records in list(found.values()))


def all_done(processes: list[subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is not None for process in processes)


def check(found: dict[str, list[dict[str, Any]]], producers: int, count: int) -> None:
    rows = [json.loads(record["Data"]) for shard in sorted(found) for record in found[shard]]
    assert sorted((row["producer"], row["n"]) for row in rows) == sorted(
        (str(producer), n) for producer in range(producers) for n in range(count)
    )
    numbers = [record["SequenceNumber"] for records in found.values() for record in records]
    assert len(set(numbers)) == len(numbers)
    by_key: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for records in found.values():
        for record in records:
            row = json.loads(record["Data"])
            by_key.setdefault((record["PartitionKey"], row["producer"]), []).append(
                (int(record["SequenceNumber"]), row["n"])
            )
    for (key, _), places in by_key.items():
        order = [n for _, n in sorted(places)]
        assert order == sorted(order), f"the records of {key} are not in their order"
