"""`tailrace produce --to kafka://` on a real broker, which is frozen in the middle: each line of the manifest there once, by its key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from tailrace.producers.manifest import read_manifest
from tests.e2e.waiting import until
from tests.engines.kafka import Broker, broker

pytestmark = [pytest.mark.java, pytest.mark.slow]

RATE, SECONDS, PARTITIONS = 2_000, 6, 3
NO_LEADER_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def consumer(running: Broker) -> Consumer:
    return Consumer({"bootstrap.servers": running.address, "group.id": "test", "enable.auto.commit": False})


def stored(running: Broker) -> int:
    """Records in the topic; 0 while a partition of the young topic has no leader that answers."""
    reader = consumer(running)
    try:
        return sum(reader.get_watermark_offsets(TopicPartition("logs", n), timeout=30)[1] for n in range(PARTITIONS))
    except KafkaException as error:
        if error.args[0].code() not in NO_LEADER_YET:
            raise
        return 0
    finally:
        reader.close()


def consumed(running: Broker, count: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Partition, key and value of the first `count` records."""
    reader = consumer(running)
    reader.assign([TopicPartition("logs", n, OFFSET_BEGINNING) for n in range(PARTITIONS)])
    found = []
    while len(found) < count:
        messages = reader.consume(1_000, timeout=30)
        assert messages, f"only {len(found)} records"
        found += [(each.partition(), each.key().decode(), json.loads(each.value())) for each in messages]
    reader.close()
    return found


def test_all_lines_arrive_once_though_the_broker_stood_still(tmp_path: Path) -> None:
    manifest = tmp_path / "run.ndjson"
    with broker(tmp_path / "kafka", {"logs": PARTITIONS}) as running:
        target = f"kafka://{running.address}/logs"
        command = [sys.executable, "-m", "tailrace.cli.main", "produce", "--to", target, "--rate", str(RATE)]
        command += ["--processes", "2", "--duration", f"{SECONDS}s", "--manifest", str(manifest), "--json"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: stored(running) > RATE, lambda: run.poll())
            os.kill(running.process.pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(running.process.pid, signal.SIGCONT)
            said, errors = run.communicate(timeout=120)
        finally:
            run.kill()
        assert run.returncode == 0, errors
        records = consumed(running, RATE * SECONDS)
        until(lambda: stored(running) == RATE * SECONDS, lambda: stored(running))
    read = read_manifest(manifest)
    assert json.loads(said)["acked"] == sum(post.lines for post in read.posts.values()) == RATE * SECONDS
    assert read.in_doubt == []
    assert Counter(record["trace_id"] for _, _, record in records).most_common(1)[0][1] == 1
    places: dict[str, set[int]] = defaultdict(set)
    for partition, key, record in records:
        assert key == record["endpoint"]
        places[key].add(partition)
    assert {len(partitions) for partitions in places.values()} == {1}
