"""boto3 against a running node: every operation and the errors that each may answer."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tailrace.ingest.protocols.kinesis.kpl import SubRecord
from tailrace.testing.node import Answer, RunningNode
from tests.kinesis.conftest import ACCOUNT, KEY_ID, SECRET, client_of
from tests.kinesis.packing import packed
from tests.kinesis.reading import STREAM, everything, iterator, read_all, refused, shards, wait_for

ARN = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{STREAM}"


@pytest.fixture(scope="module")
def blunt(node: RunningNode) -> Any:
    """A client that sends what it is given, right or wrong."""
    return client_of(node.port, parameter_validation=False)


def line(**values: Any) -> bytes:
    return json.dumps({"timestamp": "2026-11-23T12:00:00Z", **values}).encode()


def put(kinesis: Any, data: bytes, key: str, **more: Any) -> tuple[str, str]:
    answer = kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey=key, **more)
    return answer["ShardId"], answer["SequenceNumber"]


def at(kinesis: Any, place: tuple[str, str]) -> dict[str, Any]:
    token = iterator(kinesis, place[0], "AT_SEQUENCE_NUMBER", StartingSequenceNumber=place[1])
    return dict(kinesis.get_records(ShardIterator=token, Limit=1)["Records"][0])


def test_what_is_put_comes_back(kinesis: Any) -> None:
    bodies = [line(n=n) + b"\n" * (n % 3) for n in range(300)] + [b"\xff\x00no line", b"{}", b"a\nb", b"\n"]
    records = [{"Data": body, "PartitionKey": f"schlüssel {n % 9}"} for n, body in enumerate(bodies)]
    before_s = time.time()
    answer = kinesis.put_records(StreamName=STREAM, Records=records)
    assert answer["FailedRecordCount"] == 0
    for sent, place in zip(
        records[::37] + records[300:], answer["Records"][::37] + answer["Records"][300:], strict=True
    ):
        found = at(kinesis, (place["ShardId"], place["SequenceNumber"]))
        assert (found["Data"], found["PartitionKey"]) == (sent["Data"], sent["PartitionKey"])
        assert found["SequenceNumber"] == place["SequenceNumber"]
        assert abs(found["ApproximateArrivalTimestamp"].timestamp() - before_s) < 60


def test_empty_data(kinesis: Any) -> None:
    assert at(kinesis, put(kinesis, b"", "k"))["Data"] == b""


def test_order_within_a_key_and_a_shard(kinesis: Any) -> None:
    places = [put(kinesis, str(n).encode(), "one-key") for n in range(5)]
    assert len({shard for shard, _ in places}) == 1
    assert [int(number) for _, number in places] == sorted(int(number) for _, number in places)
    token = iterator(kinesis, places[0][0], "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=places[1][1])
    assert [r["Data"] for r in kinesis.get_records(ShardIterator=token)["Records"]] == [b"2", b"3", b"4"]


def test_puts_at_once_have_places_of_their_own(kinesis: Any) -> None:
    """They are decoded and stored together."""

    def send(number: int) -> tuple[tuple[str, str], bytes]:
        body = line(at_once=number)
        return put(kinesis, body, f"key-{number % 7}"), body

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(send, range(160)))
    assert len({place for place, _ in found}) == 160
    for place, body in found[::9]:
        assert at(kinesis, place)["Data"] == body


def test_explicit_hash_key_chooses_the_shard(kinesis: Any) -> None:
    for shard in shards(kinesis, ShardFilter={"Type": "AT_LATEST"}):
        bounds = shard["HashKeyRange"]
        for hashed in (bounds["StartingHashKey"], bounds["EndingHashKey"]):
            assert put(kinesis, b"x", "same", ExplicitHashKey=hashed)[0] == shard["ShardId"]


def test_posts_of_lines_are_records_too(kinesis: Any, node: RunningNode) -> None:
    body = line(endpoint="/posted", n=1) + b"\n" + line(n=2) + b"\n"
    answer = post(node, body, {"Authorization": f"Bearer {SECRET}"})
    assert answer.status == 200
    found = {r["Data"]: r["PartitionKey"] for each in everything(kinesis).values() for r in each}
    assert found[line(endpoint="/posted", n=1)] == "/posted"
    assert len(found[line(n=2)]) == 32, "a line without a key is shown with its MD5"


def test_five_kinds_of_iterator(kinesis: Any) -> None:
    shard, first = put(kinesis, b"first", "iterators")
    time.sleep(0.002)
    arrived = at(kinesis, (shard, first))["ApproximateArrivalTimestamp"]
    _, second = put(kinesis, b"second", "iterators")
    latest = iterator(kinesis, shard, "LATEST")
    put(kinesis, b"third", "iterators")

    def data(token: str) -> list[bytes]:
        return [r["Data"] for r in kinesis.get_records(ShardIterator=token)["Records"]]

    assert data(latest) == [b"third"]
    assert data(iterator(kinesis, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=second)) == [b"second", b"third"]
    assert data(iterator(kinesis, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second)) == [b"third"]
    assert data(iterator(kinesis, shard, "AT_TIMESTAMP", Timestamp=arrived))[-3:] == [b"first", b"second", b"third"]
    assert data(iterator(kinesis, shard, "TRIM_HORIZON"))[-3:] == [b"first", b"second", b"third"]
    start = next(s for s in shards(kinesis) if s["ShardId"] == shard)["SequenceNumberRange"]["StartingSequenceNumber"]
    every = data(iterator(kinesis, shard, "TRIM_HORIZON"))
    assert data(iterator(kinesis, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=start)) == every
    assert data(iterator(kinesis, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=start)) == every


def test_pages_small_and_large_give_the_same(kinesis: Any) -> None:
    kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"p", "PartitionKey": "pages"}] * 500)
    shard, _ = put(kinesis, b"end", "pages")
    whole = read_all(kinesis, shard)
    token, small = iterator(kinesis, shard), []
    while len(small) < len(whole):
        page = kinesis.get_records(ShardIterator=token, Limit=37)
        assert 0 < len(page["Records"]) <= 37
        small += page["Records"]
        token = page["NextShardIterator"]
    assert [r["SequenceNumber"] for r in small] == [r["SequenceNumber"] for r in whole]


def test_a_page_has_ten_mebibytes_at_most(kinesis: Any) -> None:
    body = b"m" * (1 << 20)
    for _ in range(2):
        records = [{"Data": body[:-16], "PartitionKey": "large"}] * 9
        assert kinesis.put_records(StreamName=STREAM, Records=records)["FailedRecordCount"] == 0
    shard, number = put(kinesis, b"small", "large")
    sizes, token, found = [], iterator(kinesis, shard), None
    while found != number:
        page = kinesis.get_records(ShardIterator=token)
        sizes.append(sum(len(r["Data"]) + len(r["PartitionKey"]) for r in page["Records"]))
        found = page["Records"][-1]["SequenceNumber"]
        assert page["MillisBehindLatest"] > 0 or found == number
        token = page["NextShardIterator"]
    assert max(sizes) <= 10 << 20
    assert len(sizes) >= 2


# -- errors of puts and reads ------------------------------------------------------------------------------------------


def test_limits_of_puts(blunt: Any) -> None:
    entry = {"Data": b"x", "PartitionKey": "k"}
    assert refused(blunt, "put_records", StreamName=STREAM, Records=[entry] * 501) == (
        "ValidationException",
        "1 validation error detected: Value 'of length 501' at 'records' failed to satisfy constraint: "
        "Member must have length less than or equal to 500",
    )
    assert refused(blunt, "put_records", StreamName=STREAM, Records=[])[0] == "ValidationException"
    large = {"Data": b"x" * (1 << 20), "PartitionKey": "k"}
    assert refused(blunt, "put_records", StreamName=STREAM, Records=[entry, large]) == (
        "InvalidArgumentException",
        "Record 2 of the request exceeds the maximum record size of the stream, 1024 KiB.",
    )
    almost = {"Data": b"x" * ((1 << 20) - 10), "PartitionKey": "k"}
    assert (
        refused(blunt, "put_records", StreamName=STREAM, Records=[almost] * 11)[1] == "Records size exceeds 10 MB limit"
    )
    assert refused(blunt, "put_record", StreamName=STREAM, Data=b"x", PartitionKey="")[0] == "ValidationException"
    assert refused(blunt, "put_record", StreamName=STREAM, Data=b"x")[0] == "InvalidArgumentException"
    assert refused(
        blunt, "put_record", StreamName=STREAM, Data=b"x", PartitionKey="k", ExplicitHashKey=str(1 << 128)
    ) == (
        "InvalidArgumentException",
        f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {1 << 128}",
    )
    assert refused(blunt, "put_record", StreamName=STREAM, Data=b"x", PartitionKey="k", ExplicitHashKey="01")[0] == (
        "ValidationException"
    )
    assert refused(
        blunt, "put_record", StreamName=STREAM, Data=b"x", PartitionKey="k", SequenceNumberForOrdering="7"
    )[0] == "InvalidArgumentException"  # fmt: skip


def test_a_larger_record_size_can_be_set(kinesis: Any) -> None:
    kinesis.update_max_record_size(StreamARN=ARN, MaxRecordSizeInKiB=3072)
    try:
        body = b"y" * (3 << 20)
        place = put(kinesis, body[:-1], "k")
        assert at(kinesis, place)["Data"] == body[:-1]
        assert (
            kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["MaxRecordSizeInKiB"] == 3072
        )
    finally:
        kinesis.update_max_record_size(StreamARN=ARN, MaxRecordSizeInKiB=1024)


def test_dry_runs_change_nothing(kinesis: Any) -> None:
    shard, _ = put(kinesis, b"x", "dry")
    count = len(read_all(kinesis, shard))
    assert refused(kinesis, "put_record", StreamName=STREAM, Data=b"x", PartitionKey="dry", DryRun=True)[0] == (
        "DryRunOperationException"
    )
    records = [{"Data": b"x", "PartitionKey": "dry"}]
    assert (
        refused(kinesis, "put_records", StreamName=STREAM, Records=records, DryRun=True)[0]
        == "DryRunOperationException"
    )
    assert len(read_all(kinesis, shard)) == count


def test_iterators_that_are_none(kinesis: Any, blunt: Any) -> None:
    shard = shards(kinesis)[0]["ShardId"]
    assert refused(kinesis, "get_records", ShardIterator="AAAA") == (
        "InvalidArgumentException",
        "Invalid ShardIterator.",
    )
    named = {"StreamName": STREAM, "ShardId": shard}
    assert refused(kinesis, "get_shard_iterator", **named, ShardIteratorType="AT_SEQUENCE_NUMBER") == (
        "InvalidArgumentException",
        "Must either specify a StartingSequenceNumber or not use AT_SEQUENCE_NUMBER as the ShardIteratorType.",
    )
    assert (
        refused(kinesis, "get_shard_iterator", **named, ShardIteratorType="AT_TIMESTAMP")[0]
        == "InvalidArgumentException"
    )
    assert refused(
        kinesis, "get_shard_iterator", **named, ShardIteratorType="AT_TIMESTAMP", Timestamp=time.time() + 3600
    )[0] == "InvalidArgumentException"  # fmt: skip
    code, message = refused(
        kinesis, "get_shard_iterator", **named, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber="5"
    )
    assert code == "InvalidArgumentException"
    assert "is invalid because it did not come from this stream" in message
    assert refused(
        kinesis, "get_shard_iterator", **{**named, "ShardId": "shardId-000000000999"}, ShardIteratorType="LATEST"
    ) == (
        "ResourceNotFoundException",
        f"Shard shardId-000000000999 in stream {STREAM} under account {ACCOUNT} does not exist",
    )
    assert (
        refused(blunt, "get_records", ShardIterator=iterator(kinesis, shard), Limit=10_001)[0] == "ValidationException"
    )


def test_unknown_streams_and_operations(kinesis: Any, blunt: Any) -> None:
    missing = ("ResourceNotFoundException", f"Stream nope under account {ACCOUNT} not found.")
    for operation in (
        "describe_stream",
        "describe_stream_summary",
        "list_shards",
        "list_tags_for_stream",
        "delete_stream",
    ):
        assert refused(kinesis, operation, StreamName="nope") == missing
    assert refused(kinesis, "put_record", StreamName="nope", Data=b"x", PartitionKey="k") == missing
    other = ARN.replace(ACCOUNT, "999999999999")
    assert refused(kinesis, "describe_stream", StreamARN=other)[0] == "ResourceNotFoundException"
    assert (
        kinesis.describe_stream(StreamARN=ARN.replace("us-east-1", "eu-west-1"))["StreamDescription"]["StreamARN"]
        == ARN
    )
    assert refused(kinesis, "describe_stream")[0] == "InvalidArgumentException"
    assert refused(kinesis, "describe_stream", StreamName="x", StreamARN=ARN)[0] == "InvalidArgumentException"
    assert refused(kinesis, "stop_stream_encryption", StreamName=STREAM, EncryptionType="KMS", KeyId="k")[0] == (
        "UnknownOperationException"
    )


# -- streams -----------------------------------------------------------------------------------------------------------


def test_describing_the_stream(kinesis: Any) -> None:
    found = kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]
    assert (found["StreamName"], found["StreamARN"], found["StreamStatus"]) == (STREAM, ARN, "ACTIVE")
    assert (found["RetentionPeriodHours"], found["EncryptionType"]) == (24, "NONE")
    assert not found["HasMoreShards"]
    listed = kinesis.list_streams()
    assert (listed["StreamNames"], listed["HasMoreStreams"]) == ([STREAM], False)
    assert kinesis.list_streams(ExclusiveStartStreamName=STREAM)["StreamNames"] == []
    first = kinesis.describe_stream(StreamName=STREAM, Limit=1)["StreamDescription"]
    assert (len(first["Shards"]), first["HasMoreShards"]) == (1, True)
    limits = kinesis.describe_limits()
    assert limits["OpenShardCount"] <= limits["ShardLimit"]
    kinesis.get_waiter("stream_exists").wait(StreamName=STREAM)


def test_creating_and_deleting(kinesis: Any, blunt: Any) -> None:
    assert refused(kinesis, "create_stream", StreamName=STREAM, ShardCount=2) == (
        "ResourceInUseException",
        f"Stream {STREAM} under account {ACCOUNT} already exists.",
    )
    code, message = refused(kinesis, "create_stream", StreamName="another", ShardCount=2)
    assert code == "LimitExceededException"
    assert "start another node" in message
    assert refused(kinesis, "create_stream", StreamName="another")[0] == "ValidationException"
    assert refused(blunt, "create_stream", StreamName="a b", ShardCount=1)[0] == "ValidationException"
    assert refused(kinesis, "delete_stream", StreamName=STREAM)[0] == "ResourceInUseException"


def test_retention(kinesis: Any, node: RunningNode) -> None:
    def hours() -> int:
        return int(
            kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["RetentionPeriodHours"]
        )

    kinesis.increase_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=48)
    assert hours() == 48
    assert json.loads((node.data_dir / "kinesis.json").read_bytes())["retention_hours"] == 48
    assert (
        "can not be shorter than existing"
        in (refused(kinesis, "increase_stream_retention_period", StreamName=STREAM, RetentionPeriodHours=30)[1])
    )
    assert (
        "can not be longer than existing"
        in (refused(kinesis, "decrease_stream_retention_period", StreamName=STREAM, RetentionPeriodHours=72)[1])
    )
    kinesis.decrease_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=24)
    assert hours() == 24
    for wrong, operation in ((23, "decrease_stream_retention_period"), (8761, "increase_stream_retention_period")):
        assert (
            refused(kinesis, operation, StreamName=STREAM, RetentionPeriodHours=wrong)[0] == "InvalidArgumentException"
        )


def test_tags(kinesis: Any) -> None:
    kinesis.add_tags_to_stream(StreamName=STREAM, Tags={"team": "shop", "env": "test"})
    kinesis.tag_resource(ResourceARN=ARN, Tags={"cost": "1"})
    assert [t["Key"] for t in kinesis.list_tags_for_stream(StreamName=STREAM)["Tags"]] == ["cost", "env", "team"]
    page = kinesis.list_tags_for_stream(StreamName=STREAM, ExclusiveStartTagKey="cost", Limit=1)
    assert (page["Tags"], page["HasMoreTags"]) == ([{"Key": "env", "Value": "test"}], True)
    kinesis.remove_tags_from_stream(StreamName=STREAM, TagKeys=["team"])
    kinesis.untag_resource(ResourceARN=ARN, TagKeys=["cost"])
    assert kinesis.list_tags_for_resource(ResourceARN=ARN)["Tags"] == [{"Key": "env", "Value": "test"}]
    assert (
        refused(kinesis, "add_tags_to_stream", StreamName=STREAM, Tags={"aws:x": "1"})[0] == "InvalidArgumentException"
    )
    many = {f"k{n}": "v" for n in range(50)}
    assert refused(kinesis, "add_tags_to_stream", StreamName=STREAM, Tags=many)[0] == "LimitExceededException"


def test_consumers_and_subscriptions(kinesis: Any) -> None:
    consumer = kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="reader", Tags={"a": "b"})["Consumer"]
    arn = consumer["ConsumerARN"]
    assert consumer["ConsumerStatus"] == "ACTIVE"
    assert (
        refused(kinesis, "register_stream_consumer", StreamARN=ARN, ConsumerName="reader")[0]
        == "ResourceInUseException"
    )
    assert kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]["StreamARN"] == ARN
    assert (
        kinesis.describe_stream_consumer(StreamARN=ARN, ConsumerName="reader")["ConsumerDescription"]["ConsumerARN"]
        == arn
    )
    assert [c["ConsumerName"] for c in kinesis.list_stream_consumers(StreamARN=ARN)["Consumers"]] == ["reader"]
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    shard, number = put(kinesis, b"pushed", "subscribers")
    start = {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number}
    stream = kinesis.subscribe_to_shard(ConsumerARN=arn, ShardId=shard, StartingPosition=start)["EventStream"]
    events = iter(stream)
    first = next(events)["SubscribeToShardEvent"]
    assert [r["Data"] for r in first["Records"]] == [b"pushed"]
    assert (first["ContinuationSequenceNumber"], first["MillisBehindLatest"]) == (number, 0)
    put(kinesis, b"later", "subscribers")
    assert [r["Data"] for r in next(events)["SubscribeToShardEvent"]["Records"]] == [b"later"]
    again = refused(kinesis, "subscribe_to_shard", ConsumerARN=arn, ShardId=shard, StartingPosition=start)
    assert again[0] == "ResourceInUseException"
    stream.close()
    assert refused(
        kinesis, "subscribe_to_shard", ConsumerARN=arn, ShardId=shard, StartingPosition={"Type": "AT_TIMESTAMP"}
    )[0] == ("InvalidArgumentException")
    kinesis.deregister_stream_consumer(ConsumerARN=arn)
    assert refused(kinesis, "describe_stream_consumer", ConsumerARN=arn)[0] == "ResourceNotFoundException"
    assert refused(kinesis, "describe_stream_consumer")[0] == "InvalidArgumentException"


def test_at_most_twenty_consumers(kinesis: Any) -> None:
    for n in range(20):
        kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName=f"c{n:02}")
    assert (
        refused(kinesis, "register_stream_consumer", StreamARN=ARN, ConsumerName="one-more")[0]
        == "LimitExceededException"
    )
    page = kinesis.list_stream_consumers(StreamARN=ARN, MaxResults=15)
    rest = kinesis.list_stream_consumers(StreamARN=ARN, NextToken=page["NextToken"])
    assert [c["ConsumerName"] for c in page["Consumers"] + rest["Consumers"]] == [f"c{n:02}" for n in range(20)]
    assert "NextToken" not in rest
    for n in range(20):
        kinesis.deregister_stream_consumer(StreamARN=ARN, ConsumerName=f"c{n:02}")


# -- what a record is --------------------------------------------------------------------------------------------------


def test_records_of_one_id_count_once(kinesis: Any, node: RunningNode) -> None:
    before = ledger(node)
    first = put(kinesis, line(event_id="A", n=1), "ids")
    assert put(kinesis, line(event_id="A", n=2), "ids") == first
    entries = [line(event_id=i) for i in ("B", "A", "B", "C")] + [line(n=1)] * 2
    answer = kinesis.put_records(StreamName=STREAM, Records=[{"Data": e, "PartitionKey": "ids"} for e in entries])
    places = [(r["ShardId"], r["SequenceNumber"]) for r in answer["Records"]]
    assert (places[1], places[2]) == (first, places[0])
    assert len(set(places)) == 5
    wait_for(lambda: ledger(node)["deduplicated"] == before["deduplicated"] + 3, "the ledger counts the repeated")
    assert ledger(node)["received"] == before["received"] + 8


def test_packed_records_are_rows_of_their_own(kinesis: Any) -> None:
    bounds = shards(kinesis, ShardFilter={"Type": "AT_LATEST"})[0]
    low = int(bounds["HashKeyRange"]["StartingHashKey"])
    inside = [SubRecord(line(n=n), f"sub{n}", low + n) for n in range(5)]
    outside = SubRecord(b"far", "far", int(bounds["HashKeyRange"]["EndingHashKey"]) + 1)
    place = put(kinesis, packed([*inside[:2], outside, *inside[2:]]), "outer", ExplicitHashKey=str(low))
    assert place[0] == bounds["ShardId"]
    last = read_all(kinesis, place[0])[-5:]
    assert [(r["Data"], r["PartitionKey"]) for r in last] == [(each.data, each.key) for each in inside]
    assert last[-1]["SequenceNumber"] == place[1]


def test_records_are_in_the_views_and_the_ledger(kinesis: Any, node: RunningNode) -> None:
    before, counted = ledger(node), requests(node)
    records = [{"Data": line(endpoint="/seen", n=n) + b"\n", "PartitionKey": f"/seen{n}"} for n in range(50)]
    records += [{"Data": b"no log line", "PartitionKey": "k"}] * 3
    kinesis.put_records(StreamName=STREAM, Records=records)
    wait_for(lambda: requests(node) == counted + 50, "the view counts the records")
    after = wait_for(lambda: (now := ledger(node))["stored"] == before["stored"] + 50 and now, "the ledger has them")
    assert after["dead_lettered"] == before["dead_lettered"] + 3
    assert after["balanced"]


def test_the_example_of_the_docs_runs(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "kinesis.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    for written, here in (
        ("http://127.0.0.1:8080", f"http://127.0.0.1:{node.port}"),
        ('aws_access_key_id="any"', f'aws_access_key_id="{KEY_ID}"'),
        ('aws_secret_access_key="any"', f'aws_secret_access_key="{SECRET}"'),
    ):
        assert written in code
        code = code.replace(written, here)
    exec(compile(code, "docs/kinesis.md", "exec"), {})
    assert "/login b'{" in capsys.readouterr().out


# -- CBOR, keys, the door ----------------------------------------------------------------------------------------------


def post(node: RunningNode, body: bytes, headers: dict[str, str], path: str = "/v1/logs") -> Answer:
    return node.request("POST", path, body, headers)


def get(node: RunningNode, path: str, authorization: str = f"Bearer {SECRET}") -> Answer:
    headers = {"Authorization": authorization} if authorization else {}
    return node.request("GET", path, None, headers)


def ledger(node: RunningNode) -> dict[str, Any]:
    return dict(get(node, "/v1/pipeline").json["ledger"])


def requests(node: RunningNode) -> int:
    answer = get(node, "/v1/views/overall_health?total=true").json
    index = answer["columns"].index("requests")
    return int(sum(row[index] for row in answer["rows"]))


def speak(node: RunningNode, operation: str, body: bytes, media_type: str, **headers: str) -> Answer:
    named = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": media_type, **headers}
    request = AWSRequest("POST", f"http://127.0.0.1:{node.port}/", data=body, headers=named)
    SigV4Auth(Credentials(KEY_ID, SECRET), "kinesis", "us-east-1").add_auth(request)
    return post(node, body, dict(request.headers.items()), "/")


def test_cbor_says_what_json_says(kinesis: Any, node: RunningNode) -> None:
    def cbor(operation: str, given: Any) -> Any:
        answer = speak(node, operation, cbor2.dumps(given), "application/x-amz-cbor-1.1")
        assert answer.headers["content-type"] == "application/x-amz-cbor-1.1"
        return answer.status, cbor2.loads(answer.body, semantic_decoders={1: lambda value, immutable: ("ms", value)})

    records = [{"Data": bytes([n]), "PartitionKey": "cbor"} for n in range(3)]
    status, answer = cbor("PutRecords", {"StreamName": STREAM, "Records": records})
    assert (status, answer["FailedRecordCount"]) == (200, 0)
    place = answer["Records"][0]
    status, found = cbor(
        "GetShardIterator",
        {"StreamName": STREAM, "ShardId": place["ShardId"], "ShardIteratorType": "AT_SEQUENCE_NUMBER",
         "StartingSequenceNumber": place["SequenceNumber"]},
    )  # fmt: skip
    status, page = cbor("GetRecords", {"ShardIterator": found["ShardIterator"]})
    assert [r["Data"] for r in page["Records"]] == [b"\0", b"\1", b"\2"]
    kind, ms = page["Records"][0]["ApproximateArrivalTimestamp"]
    assert (kind, abs(ms - time.time() * 1000) < 60_000) == ("ms", True)
    status, summary = cbor("DescribeStreamSummary", {"StreamName": STREAM})
    assert isinstance(summary["StreamDescriptionSummary"]["StreamCreationTimestamp"][1], int)
    status, error = cbor("DescribeStream", {"StreamName": "nope"})
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")
    status, error = cbor("PutRecords", {"StreamName": STREAM, "Records": records * 200})
    assert (status, error["__type"]) == (400, "ValidationException")


@settings(max_examples=25, deadline=None)
@given(
    body=st.binary(max_size=60),
    media_type=st.sampled_from(["application/x-amz-json-1.1", "application/x-amz-cbor-1.1", "x"]),
)
def test_no_body_breaks_the_endpoint(node: RunningNode, body: bytes, media_type: str) -> None:
    answer = speak(node, "PutRecords", body, media_type)
    assert answer.status == 400


def test_wrong_signatures(node: RunningNode) -> None:
    named = {"StreamName": STREAM}
    assert (
        refused(client_of(node.port, key_id="nobody"), "describe_stream", **named)[0] == "UnrecognizedClientException"
    )
    assert refused(client_of(node.port, secret="wrong"), "describe_stream", **named)[0] == "InvalidSignatureException"
    plain = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Type": "application/x-amz-json-1.1"}
    answer = post(node, b"{}", plain, "/")
    assert (answer.status, answer.json["__type"]) == (400, "MissingAuthenticationTokenException")
    answer = post(node, b"{}", {**plain, "Authorization": f"Bearer {SECRET}"}, "/")
    assert answer.json["__type"] == "MissingAuthenticationTokenException"
    large = post(node, bytes(30 << 20), plain, "/")
    assert large.json["__type"] == "MissingAuthenticationTokenException", "told before the body is taken in"
    assert client_of(node.port, "second", "another-secret-of-the-tests").list_streams()["StreamNames"] == [STREAM]


def test_everything_else_wants_the_secret(node: RunningNode) -> None:
    for path in ("/v1/views", "/metrics", "/openapi.json", "/v1/pipeline", "/nothing"):
        for authorization in ("", "Bearer wrong", "Bearer", f"Bearer {SECRET}x", "Basic !", f"Digest {SECRET}"):
            answer = get(node, path, authorization)
            assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
            assert SECRET not in answer.body.decode()
    for path in ("/healthz", "/readyz"):
        assert get(node, path, "").status == 200
    basic = base64.b64encode(f"{KEY_ID}:{SECRET}".encode()).decode()
    assert get(node, "/v1/views", f"Basic {basic}").status == 200
    swapped = base64.b64encode(f"second:{SECRET}".encode()).decode()
    assert get(node, "/v1/views", f"Basic {swapped}").status == 401
    page = node.request("GET", "/", None, {"Accept": "text/html"})
    assert page.status in (200, 503), "the page itself, which asks for a name and a password; or that it is not built"
    assert post(node, line(), {}).status == 401


def test_sockets_want_it_too(node: RunningNode) -> None:
    url = f"ws://127.0.0.1:{node.port}/v1/live"
    with pytest.raises(InvalidStatus) as error, connect(url):
        pass
    assert error.value.response.status_code == 401
    with connect(url, additional_headers={"Authorization": f"Bearer {SECRET}"}) as socket:
        assert socket.ping().wait(20)


def test_no_log_holds_a_secret(node: RunningNode) -> None:
    run = node.data_dir / "run"
    assert (run / "settings.json").stat().st_mode & 0o077 == 0
    for path in [*run.glob("*.log"), run / "node.json", node.log_path]:
        if path.exists():
            assert SECRET not in path.read_text(errors="replace")
