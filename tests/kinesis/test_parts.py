"""Laws of the parts: tokens, event streams, packed records, validation, and what a record is."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.formats.base import Limits, Options
from tailrace.formats.decode import FORMATS, decode
from tailrace.ingest.protocols.kinesis import tokens
from tailrace.ingest.protocols.kinesis.errors import KinesisError
from tailrace.ingest.protocols.kinesis.eventstream import event
from tailrace.ingest.protocols.kinesis.framing import decode_records
from tailrace.ingest.protocols.kinesis.kpl import MAGIC, SubRecord, sub_records
from tailrace.ingest.protocols.kinesis.puts import Put
from tailrace.ingest.protocols.kinesis.unpacking import unpacked
from tailrace.ingest.protocols.kinesis.validation import checked
from tailrace.ingest.protocols.kinesis.wire import CborWire, JsonWire, Wire
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.shard import even_shards, hash_key
from tailrace.model.verdict import Verdict
from tests.kinesis.packing import packed

NUMBERS = st.integers(0, (1 << 63) - 1)


@given(st.integers(1, 9), st.text(max_size=20), st.lists(NUMBERS, min_size=1, max_size=3), NUMBERS)
def test_tokens_come_back(kind: int, stream: str, numbers: list[int], now_ms: int) -> None:
    token = tokens.make(kind, stream, numbers, now_ms)
    assert len(token) <= 512
    assert tokens.read(kind, stream, len(numbers), token) == (now_ms, tuple(numbers))
    assert tokens.read(kind + 1, stream, len(numbers), token) is None
    assert tokens.read(kind, stream + "x", len(numbers), token) is None


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_changed_token_is_none(at: int, bits: int) -> None:
    data = bytearray(base64.urlsafe_b64decode(tokens.make(1, "s", (3, 7), 5)))
    data[at % len(data)] ^= bits
    assert tokens.read(1, "s", 2, base64.urlsafe_b64encode(data).decode()) is None


@given(st.text(max_size=512))
def test_any_text_is_no_token(text: str) -> None:
    assert tokens.read(1, "s", 2, text) is None


def test_tokens_expire_after_five_minutes() -> None:
    assert not tokens.is_expired(0, 300_000)
    assert tokens.is_expired(0, 300_001)
    assert tokens.is_expired(300_001, 0)


@given(st.text("abc-:", min_size=1, max_size=40), st.binary(max_size=300))
def test_botocore_reads_our_events(kind: str, payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event(kind, "application/json", payload) * 2)
    found = list(buffer)
    assert [each.payload for each in found] == [payload] * 2
    assert found[0].headers == {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}


SUB_RECORDS = st.lists(
    st.builds(SubRecord, st.binary(max_size=50), st.text(max_size=8), st.none() | st.integers(0, (1 << 128) - 1)),
    min_size=1,
    max_size=6,
)


@given(SUB_RECORDS)
def test_packed_records_are_taken_apart(records: list[SubRecord]) -> None:
    assert sub_records(packed(records)) == records


@given(SUB_RECORDS, st.integers(4, 200), st.integers(1, 255))
def test_a_damaged_packed_record_is_an_opaque_one(records: list[SubRecord], at: int, bits: int) -> None:
    data = bytearray(packed(records))
    data[4 + at % (len(data) - 4)] ^= bits
    assert sub_records(bytes(data)) is None


@given(st.binary(max_size=60))
def test_a_message_that_is_none_is_opaque(message: bytes) -> None:
    found = sub_records(MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest())
    assert found is None or all(isinstance(each.key, str) for each in found)


def test_sub_records_of_other_shards_are_left_out() -> None:
    shards = even_shards(2, 0)
    keys = [f"k{n}" for n in range(20)]
    records = [SubRecord(key.encode(), key, None) for key in keys]
    here = [key for key in keys if hash_key(key.encode()) <= shards[0].hash_last]
    rows = unpacked([Put([b"x", packed(records), b"y"], ["a", "outer", "b"], {1: 5}, 0)], shards)
    assert rows.keys == ["a", *here, "b"]
    assert rows.dropped == 20 - len(here)
    assert rows.last is not None
    assert rows.last.tolist() == [0, len(here), len(here) + 1]
    far = [SubRecord(b"z", "z", (1 << 128) - 1)]
    kept = unpacked([Put([packed(far)], ["outer"], {0: 5}, 0)], shards)
    assert (kept.data, kept.keys, kept.hash_keys) == ([packed(far)], ["outer"], {0: 5})


LINE = b'{"timestamp":"2026-11-23T12:00:00Z","endpoint":"/a","status":200}'
PIECES = st.sampled_from(
    [
        LINE,
        b"\n",
        b"\r\n",
        b" ",
        b"{}",
        b'{"timestamp":1700000000,\n"endpoint":"/b"}',
        b"\xff",
        b"\x00",
        b"[1]",
        b"\xef\xbb\xbf",
        b"\\",
        b'"',
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=4).map(b"".join), min_size=1, max_size=8))
@example([b"", LINE, b"\n"])
@example([LINE + b"\n\n", b"\n" + LINE])
def test_a_record_is_one_row_as_a_post_of_it_alone(records: list[bytes]) -> None:
    found = decode_records(records, FORMATS["json"], DEFAULT_FIELDS, Limits(), Options())
    assert found.raw["raw"].to_pylist() == records
    for row, record in enumerate(records):
        alone = decode(record, "json", DEFAULT_FIELDS, Limits(), Options())
        verdict = found.columns["verdict"][row].as_py()
        if alone.count != 1 or alone.raw["raw"][0].as_py().strip(b"\n\r ") != record.removeprefix(
            b"\xef\xbb\xbf"
        ).strip(b"\n\r "):
            assert verdict != Verdict.GOOD or alone.count == 1
        elif verdict not in (Verdict.BLANK, Verdict.SEVERAL_LINES):
            assert found.columns.slice(row, 1).to_pylist() == alone.columns.to_pylist()


def test_verdicts_of_records() -> None:
    records = [
        LINE,
        LINE + b"\n",
        LINE + b"\n" + LINE,
        b"",
        b"  \n",
        b'{"timestamp":"2026-11-23T12:00:00Z",\n "endpoint":"/b"}',
        b"\xff",
    ]
    found = decode_records(records, FORMATS["json"], DEFAULT_FIELDS, Limits(), Options())
    assert found.columns["verdict"].to_pylist() == [
        0, 0, Verdict.SEVERAL_LINES, Verdict.BLANK, Verdict.BLANK, 0, Verdict.NOT_UTF8,
    ]  # fmt: skip
    assert found.raw["raw"].to_pylist() == records


def refusal(work: Callable[[], object]) -> str:
    """Name of the error, or empty."""
    try:
        work()
    except KinesisError as error:
        return error.name
    return ""


def problem(operation: str, given: Any) -> tuple[str, str]:
    with pytest.raises(KinesisError) as error:
        checked(operation, given)
    return error.value.name, error.value.message


def test_validation_in_the_words_of_aws() -> None:
    assert problem("GetShardIterator", {}) == (
        "ValidationException",
        "2 validation errors detected: Value null at 'shardId' failed to satisfy constraint: Member must not be null; "
        "Value null at 'shardIteratorType' failed to satisfy constraint: Member must not be null",
    )
    assert (
        "at 'records.2.member.partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256"
        in (
            problem(
                "PutRecords", {"Records": [{"Data": "", "PartitionKey": "a"}, {"Data": "", "PartitionKey": "a" * 257}]}
            )[1]
        )
    )
    assert (
        "Member must satisfy enum value set: [AT_SEQUENCE_NUMBER, "
        in (problem("GetShardIterator", {"ShardId": "s", "ShardIteratorType": "NEVER"})[1])
    )
    assert problem("CreateStream", {"StreamName": 7}) == (
        "SerializationException",
        "NUMBER_VALUE can not be converted to a String",
    )
    assert problem("PutRecord", {"Data": "!", "PartitionKey": "a"})[0] == "SerializationException"
    assert problem("PutRecords", {"Records": {}})[0] == "SerializationException"
    assert problem("ListShards", [])[0] == "SerializationException"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["PutRecords", "GetShardIterator", "ListShards", "TagResource"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["Records", "Data", "Tags", "ShardId", "Timestamp", "ShardFilter", "Limit"]), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_no_input_breaks_the_validation(operation: str, value: Any) -> None:
    assert refusal(lambda: checked(operation, value)) in ("", "SerializationException", "ValidationException")


@given(st.binary(max_size=40), st.sampled_from([JsonWire("application/json"), CborWire()]))
def test_no_body_breaks_a_wire(body: bytes, wire: Wire) -> None:
    assert refusal(lambda: wire.decode(body)) in ("", "SerializationException")


def test_times_on_both_wires() -> None:
    import cbor2

    asked = {"ShardId": "s", "ShardIteratorType": "AT_TIMESTAMP"}
    from_json = checked(
        "GetShardIterator", JsonWire("").decode(json.dumps({**asked, "Timestamp": 1700000000.123}).encode())
    )
    from_cbor = checked(
        "GetShardIterator", CborWire().decode(cbor2.dumps({**asked, "Timestamp": cbor2.CBORTag(1, 1700000000123)}))
    )
    assert from_json["Timestamp"] == from_cbor["Timestamp"] == 1700000000123
