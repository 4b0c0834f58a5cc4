"""A Kafka broker of one node, which is its own controller."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tailrace.testing.node import free_port
from tests.engines.jvm import java, server


@dataclass(frozen=True)
class Broker:
    """`address`: HOST:PORT."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def broker(folder: Path, topics: dict[str, int]) -> Iterator[Broker]:
    """`topics`: partitions by name."""
    folder.mkdir(parents=True)
    port, controller = free_port(), free_port()
    address, settings = f"127.0.0.1:{port}", folder / "server.properties"
    settings.write_text(_settings(folder, address, f"127.0.0.1:{controller}"))
    command, cluster = java("kafka"), base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    format_storage = [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
    subprocess.run(format_storage, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    with server([*command, "kafka.Kafka", str(settings)], folder, lambda: _answers(admin)) as process:
        made = admin.create_topics([NewTopic(name, partitions, 1) for name, partitions in topics.items()])
        for each in made.values():
            each.result(30)
        yield Broker(address, process)


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _settings(folder: Path, address: str, controller: str) -> str:
    return f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{address},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{address}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder / "data"}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
