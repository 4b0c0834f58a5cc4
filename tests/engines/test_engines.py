"""The servers that `make engines` fetches are what was pinned, and run."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from confluent_kafka import Consumer, Producer

from tests.engines.dynamodb import dynamodb
from tests.engines.kafka import broker
from tools import engines

pytestmark = [pytest.mark.java, pytest.mark.slow]


def test_what_was_exchanged_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"a")
    (tmp_path / "b.jar").write_bytes(b"b")
    wanted = engines.sums(tmp_path)
    engines.compare("kafka", engines.sums(tmp_path), wanted)
    (tmp_path / "b.jar").write_bytes(b"c")
    (tmp_path / "d.jar").write_bytes(b"d")
    with pytest.raises(engines.EnginesError, match=r"b\.jar, d\.jar"):
        engines.compare("kafka", engines.sums(tmp_path), wanted)


def test_kafka_keeps_what_it_is_given(tmp_path: Path) -> None:
    with broker(tmp_path / "kafka", {"logs": 2}) as running:
        producer = Producer({"bootstrap.servers": running.address, "enable.idempotence": True})
        for n in range(100):
            producer.produce("logs", str(n).encode(), str(n % 7))
        assert producer.flush(60) == 0
        consumer = Consumer({"bootstrap.servers": running.address, "group.id": "t", "auto.offset.reset": "earliest"})
        consumer.subscribe(["logs"])
        found = []
        while len(found) < 100:
            message = consumer.poll(60)
            assert message is not None
            assert message.error() is None
            found.append(int(message.value()))
        consumer.close()
    assert sorted(found) == list(range(100))


def test_dynamodb_local_refuses_a_condition_that_does_not_hold(tmp_path: Path) -> None:
    with dynamodb(tmp_path / "dynamodb") as endpoint:
        client = boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_table(
            TableName="leases",
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        item = {"key": {"S": "shardId-000000000000"}}
        client.put_item(
            TableName="leases",
            Item=item,
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": "key"},
        )
        with pytest.raises(client.exceptions.ConditionalCheckFailedException):
            client.put_item(
                TableName="leases",
                Item=item,
                ConditionExpression="attribute_not_exists(#k)",
                ExpressionAttributeNames={"#k": "key"},
            )
        client.close()
