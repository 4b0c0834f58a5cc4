"""What needs a clock that is set, or a stream that fails: iterators that expire, ends of shards, subscriptions, partial failures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tailrace.config.settings import RetentionSettings, Settings
from tailrace.errors import Backpressure, Unavailable
from tailrace.ingest.protocols.kinesis.control import Control
from tailrace.ingest.protocols.kinesis.describe import Describe
from tailrace.ingest.protocols.kinesis.errors import KinesisError
from tailrace.ingest.protocols.kinesis.kept import KeptFile
from tailrace.ingest.protocols.kinesis.reads import Reads
from tailrace.ingest.protocols.kinesis.streams import TheStream
from tailrace.ingest.protocols.kinesis.subscribe import Subscriptions
from tailrace.ingest.protocols.kinesis.wire import JsonWire
from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA
from tailrace.model.sequence import offset_of
from tailrace.model.shard import hash_key
from tailrace.runtime.clock import ManualClock, SystemClock
from tailrace.serving.housekeeping import Housekeeping
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Appended, ReadRequest, ShardBatch
from tailrace.testing.contracts.stream_samples import sample_batch, sample_raw
from tests.ingest.serving import ingesting, settings
from tests.ingest.test_resharding import RestlessStream

WIRE = JsonWire("application/json")
NAMED = {"StreamName": "logs"}


class Place:
    """A stream in memory under a clock that the test moves, and the parts of the API on it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.stream = MemoryStream(DEFAULT_FIELDS, 2, self.clock)
        self.of = TheStream(
            self.stream,
            Settings(data_dir=folder, views_dir=folder),
            KeptFile(folder / "kinesis.json", self.clock),
            self.clock,
        )
        self.reads = Reads(self.of)
        self.control = Control(self.of)
        self.describe = Describe(self.of)
        self.first = self.stream.shards()[0].id

    def append(self, *numbers: int) -> None:
        self.stream.append(sample_batch(self.first, numbers)).result()

    def iterator(self, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        given = {**NAMED, "ShardId": self.first, "ShardIteratorType": kind, **more}
        return str(self.reads.get_shard_iterator(given)["ShardIterator"])

    def get(self, token: str, **more: Any) -> dict[str, Any]:
        return self.reads.get_records({"ShardIterator": token, **more}, WIRE)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_iterator_lasts_five_minutes(place: Place) -> None:
    token = place.iterator()
    place.clock.advance(300)
    token = place.get(token)["NextShardIterator"]
    place.clock.advance(301)
    with pytest.raises(KinesisError, match="tolerated delay of 300000 milliseconds") as error:
        place.get(token)
    assert error.value.name == "ExpiredIteratorException"


def test_an_iterator_before_what_is_kept_goes_on_there(place: Place) -> None:
    place.append(1, 2)
    token = place.iterator()
    place.stream.seal(place.first)
    place.append(3)
    place.clock.advance(100)
    place.stream.trim(place.first, 1, place.clock.now_us())
    assert [r["Data"] for r in place.get(token)["Records"]] == [sample_raw(3)]


def test_the_end_of_a_shard_names_its_children(place: Place) -> None:
    place.append(1, 2, 3)
    place.control.run("SplitShard", {**NAMED, "ShardToSplit": place.first, "NewStartingHashKey": "1000"})
    first = place.get(place.iterator(), Limit=2)
    assert "ChildShards" not in first
    last = place.get(first["NextShardIterator"])
    assert "NextShardIterator" not in last
    assert [child["ParentShards"] for child in last["ChildShards"]] == [[place.first]] * 2
    assert last["ChildShards"][0]["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": "999"}
    described = place.of.described(place.of.shard(place.first))
    end = described["SequenceNumberRange"]["EndingSequenceNumber"]
    assert int(last["Records"][-1]["SequenceNumber"]) < int(end)


def test_a_closed_shard_without_records_ends(place: Place) -> None:
    place.append(1, 2)
    token = place.iterator()
    place.control.run("SplitShard", {**NAMED, "ShardToSplit": place.first, "NewStartingHashKey": "1000"})
    place.clock.advance(100)
    place.stream.trim(place.first, 9, place.clock.now_us())
    page = place.get(token)
    assert (page["Records"], "NextShardIterator" in page, len(page["ChildShards"])) == ([], False, 2)


def test_behind_is_the_age_of_what_was_read(place: Place) -> None:
    place.append(1)
    place.clock.advance(10)
    place.append(2)
    place.clock.advance(5)
    page = place.get(place.iterator(), Limit=1)
    assert page["MillisBehindLatest"] == 15_000
    assert place.get(page["NextShardIterator"])["MillisBehindLatest"] == 0


def test_blocks_without_keys_are_read(place: Place) -> None:
    """Those of earlier versions."""
    batch = sample_batch(place.first, [5])
    assert batch.raw.schema.equals(RAW_SCHEMA)
    place.stream.append(batch).result()
    (record,) = place.get(place.iterator())["Records"]
    assert record["PartitionKey"] == hashlib.md5(sample_raw(5), usedforsecurity=False).hexdigest()


def test_filters_of_shards(place: Place) -> None:
    def ids(**shard_filter: Any) -> list[int]:
        found = place.describe.list_shards({**NAMED, "ShardFilter": shard_filter})["Shards"]
        return [int(shard["ShardId"][-3:]) for shard in found]

    begin_ms = place.of.now_ms()
    place.clock.advance(1000)
    place.control.run("SplitShard", {**NAMED, "ShardToSplit": place.first, "NewStartingHashKey": "1000"})
    place.clock.advance(1000)
    assert ids(Type="AT_LATEST") == [1, 2, 3]
    assert ids(Type="AT_TRIM_HORIZON") == [0, 1]
    assert ids(Type="FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert ids(Type="AT_TIMESTAMP", Timestamp=begin_ms + 1) == [0, 1]
    assert ids(Type="FROM_TIMESTAMP", Timestamp=begin_ms + 1_500_000) == [1, 2, 3]
    assert ids(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2, 3]
    with pytest.raises(KinesisError):
        ids(Type="AT_TIMESTAMP")
    page = place.describe.list_shards({**NAMED, "MaxResults": 3})
    assert [s["ShardId"][-1] for s in place.describe.list_shards({"NextToken": page["NextToken"]})["Shards"]] == ["3"]
    place.clock.advance(301)
    with pytest.raises(KinesisError) as error:
        place.describe.list_shards({"NextToken": page["NextToken"]})
    assert error.value.name == "ExpiredNextTokenException"
    place.clock.advance(86_400)
    assert ids(Type="FROM_TRIM_HORIZON") == [1, 2, 3], "a closed shard goes once its records are past the retention"


def error_of(place: Place, operation: str, **given: Any) -> str:
    with pytest.raises(KinesisError) as error:
        place.control.run(operation, {**NAMED, **given})
    return error.value.name


def test_splits_and_merges_that_cannot_be(place: Place) -> None:
    second = place.stream.shards()[1].id
    assert (
        error_of(place, "SplitShard", ShardToSplit="shardId-9", NewStartingHashKey="5") == "ResourceNotFoundException"
    )
    for at in ("0", "1", str(1 << 127), str(1 << 128)):
        assert (
            error_of(place, "SplitShard", ShardToSplit=place.first, NewStartingHashKey=at) == "InvalidArgumentException"
        )
    assert error_of(place, "MergeShards", ShardToMerge=place.first, AdjacentShardToMerge=place.first) == (
        "InvalidArgumentException"
    )
    place.control.run("MergeShards", {**NAMED, "ShardToMerge": place.first, "AdjacentShardToMerge": second})
    assert error_of(place, "MergeShards", ShardToMerge=place.first, AdjacentShardToMerge=second) == (
        "InvalidArgumentException"
    )
    place.control.run("UpdateStreamMode", {"StreamARN": place.of.arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
    assert (
        error_of(place, "UpdateShardCount", TargetShardCount=2, ScalingType="UNIFORM_SCALING") == "ValidationException"
    )


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_first_create_names_the_stream(place: Place, count: int) -> None:
    place.control.run("CreateStream", {"StreamName": "orders", "ShardCount": count, "Tags": {"a": "b"}})
    found = place.describe.describe_stream({"StreamName": "orders"})["StreamDescription"]
    assert found["StreamARN"].endswith(":stream/orders")
    shards = sorted(found["Shards"], key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    assert [shard["HashKeyRange"]["StartingHashKey"] for shard in shards] == [
        str((1 << 128) // count * n) for n in range(count)
    ]
    assert not any(
        "ParentShardId" in shard or "EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards
    )
    asked = {"StreamName": "orders", "ShardFilter": {"Type": "AT_TRIM_HORIZON"}}
    assert len(place.describe.list_shards(asked)["Shards"]) == count
    assert place.of.kept.tags == {"a": "b"}
    assert error_of(place, "CreateStream", StreamName="orders", ShardCount=count) == "ResourceInUseException"
    assert error_of(place, "CreateStream", StreamName="logs", ShardCount=count) == "LimitExceededException"
    with pytest.raises(KinesisError, match="Stream logs under account 000000000000 not found"):
        place.describe.describe_stream(NAMED)


def test_a_stream_with_records_keeps_its_name(place: Place) -> None:
    place.append(1)
    assert error_of(place, "CreateStream", StreamName="orders", ShardCount=1) == "LimitExceededException"
    assert error_of(place, "CreateStream", StreamName="logs", ShardCount=1) == "ResourceInUseException"


def test_limits_of_resizing(place: Place) -> None:
    for target in (5, 600):
        assert error_of(place, "UpdateShardCount", TargetShardCount=target) == "LimitExceededException"
    for target in (3, 2) * 5:
        answer = place.control.run("UpdateShardCount", {**NAMED, "TargetShardCount": target})
        assert answer["TargetShardCount"] == target
        ranges = sorted(s.hash_first for s in place.stream.shards() if not s.closed)
        assert ranges == [(1 << 128) // target * n for n in range(target)]
    assert error_of(place, "UpdateShardCount", TargetShardCount=3) == "LimitExceededException"
    place.clock.advance(86_401)
    place.control.run("UpdateShardCount", {**NAMED, "TargetShardCount": 3})


def test_the_api_sets_how_long_the_stream_is_kept(place: Place) -> None:
    seen: list[int] = []

    class Trimmed(MemoryStream):
        def trim(self, shard_id: str, through_epoch: int, before_us: int, bytes_max: int | None = None) -> int:
            seen.append((place.clock.now_us() - before_us) // 3_600_000_000)
            return 0

    class Marks:
        def marks(self) -> dict[int, Any]:
            from tailrace.batch.dead_letters import LetterMark

            return {0: LetterMark(epoch=9), 1: LetterMark(epoch=9)}

    stream = Trimmed(DEFAULT_FIELDS, 1, place.clock)
    place.control.run("IncreaseStreamRetentionPeriod", {**NAMED, "RetentionPeriodHours": 72})
    kept = KeptFile(place.of.settings.kinesis_path, place.clock)
    parts: Any = (stream, None, None, Marks(), RetentionSettings(), 3600, place.clock)
    Housekeeping(*parts, stream_age_s=lambda: kept.read().stream_age_s)._trim({"shardId-000000000000": 5})
    Housekeeping(*parts)._trim({"shardId-000000000000": 5})
    assert seen == [72, 24]


def test_a_subscription_is_taken_over_and_ends(place: Place, tmp_path: Path) -> None:
    subscriptions = Subscriptions(place.of, place.reads, tmp_path / "subscriptions")
    consumer = place.control.run("RegisterStreamConsumer", {"StreamARN": place.of.arn, "ConsumerName": "c"})["Consumer"]
    given = {
        "ConsumerARN": consumer["ConsumerARN"],
        "ShardId": place.first,
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    }
    first = subscriptions.begin(given)
    with pytest.raises(KinesisError) as error:
        subscriptions.begin(given)
    assert error.value.name == "ResourceInUseException"
    place.clock.advance(5)
    second = subscriptions.begin(given)
    assert (first[2].stands(), second[2].stands()) == (False, True)

    async def told() -> tuple[list[bytes], list[bytes]]:
        old = [message async for message in subscriptions.events(*first, WIRE)]
        live, events = [], subscriptions.events(*second, WIRE)
        async for message in events:
            live.append(message)
            if len(live) == 2:
                place.clock.advance(301)
        return old, live

    old, live = asyncio.run(told())
    assert len(old) == 2
    assert b"ResourceInUseException" in old[1]
    assert len(live) == 2, "it ends after five minutes"


class FailingStream(MemoryStream):
    """The second shard cannot take anything."""

    def __init__(self, error: Exception) -> None:
        super().__init__(DEFAULT_FIELDS, 2, SystemClock())
        self._error = error

    def append(self, batch: ShardBatch) -> Future[Appended]:
        if batch.shard_id == self.shards()[1].id:
            if isinstance(self._error, Backpressure):
                raise self._error
            failed: Future[Appended] = Future()
            failed.set_exception(self._error)
            return failed
        return super().append(batch)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Backpressure("full"), "ProvisionedThroughputExceededException"),
        (Unavailable("gone"), "InternalFailure"),
        (OSError(28, "no space"), "InternalFailure"),
    ],
)
def test_records_of_a_shard_that_fails_fail_alone(tmp_path: Path, error: Exception, code: str) -> None:
    keys = [f"k{n}" for n in range(20)]
    records = [{"Data": "eA==", "PartitionKey": key} for key in keys]
    headers = {"X-Amz-Target": "Kinesis_20131202.PutRecords", "Content-Type": "application/x-amz-json-1.1"}
    body = json.dumps({"StreamName": "logs", "Records": records})
    with ingesting(FailingStream(error), settings(tmp_path)) as url:
        answer = httpx.post(url + "/", content=body, headers=headers)
        one = httpx.post(
            url + "/",
            content=json.dumps(
                {"StreamName": "logs", "Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": str(1 << 127)}
            ),
            headers={**headers, "X-Amz-Target": "Kinesis_20131202.PutRecord"},
        )
    assert answer.status_code == 200
    found = answer.json()
    failed = [n for n, key in enumerate(keys) if hashlib.md5(key.encode()).digest()[0] >= 128]
    assert [n for n, each in enumerate(found["Records"]) if "ErrorCode" in each] == failed
    assert found["FailedRecordCount"] == len(failed)
    assert {found["Records"][n]["ErrorCode"] for n in failed} == {code}
    assert one.status_code >= 400
    assert one.headers["x-amzn-errortype"] == one.json()["__type"]


@pytest.mark.parametrize("merging", [False, True])
def test_puts_whose_shards_change_on_the_way(tmp_path: Path, merging: bool) -> None:
    """Each record is where its answer says, in the shard that owns its hash key now."""
    stream = RestlessStream()
    stream.merging = merging
    keys = [f"k{n}" for n in range(60)]
    hashes = {n: str((1 << 128) // 60 * n) for n in range(0, 60, 3)}
    records = [
        {"Data": base64.b64encode(key.encode()).decode(), "PartitionKey": key}
        | ({"ExplicitHashKey": hashes[n]} if n in hashes else {})
        for n, key in enumerate(keys)
    ]
    headers = {"X-Amz-Target": "Kinesis_20131202.PutRecords", "Content-Type": "application/x-amz-json-1.1"}
    with ingesting(stream, settings(tmp_path)) as url:
        for _ in range(3):
            stream.moves = 2
            answer = httpx.post(url + "/", json={"StreamName": "logs", "Records": records}, headers=headers).json()
            assert answer["FailedRecordCount"] == 0
            shards = {shard.id: shard for shard in stream.shards()}
            for n, (key, place) in enumerate(zip(keys, answer["Records"], strict=True)):
                shard = shards[place["ShardId"]]
                offset = offset_of(shard, place["SequenceNumber"])
                (block,) = stream.read(ReadRequest(shard.id, offset, 1, with_raw=True))
                assert block.raw is not None
                assert block.raw["raw"][offset - block.first_offset].as_py() == key.encode()
                assert shard.hash_first <= int(hashes.get(n, hash_key(key.encode()))) <= shard.hash_last
    assert sum(stream.end(shard).next_offset for shard in shards) == 180


def test_ids_need_no_producer(place: Place) -> None:
    batch = sample_batch(place.first, [1, 2])
    ids = pa.array([b"a", b"a"], pa.binary())
    stored = place.stream.append(ShardBatch(batch.shard_id, batch.columns, batch.raw, ids=ids)).result()
    assert stored.repeats == {1: (place.first, 0)}
