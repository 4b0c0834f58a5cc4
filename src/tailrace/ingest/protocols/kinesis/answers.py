"""The output of PutRecord and PutRecords, and what a request for them may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.errors import Backpressure, TailraceError
from tailrace.ingest.protocols.kinesis.errors import argument, of_ours
from tailrace.ingest.protocols.kinesis.placing import Placed
from tailrace.ingest.protocols.kinesis.puts import Entry, Put, put_of
from tailrace.ingest.protocols.kinesis.streams import TheStream
from tailrace.model.shard import HASH_KEYS

REQUEST_BYTES_MAX = 10 << 20
KEY_ROOM_BYTES = (1 << 20) - 1024
"""Data up to this size fits with any key: 1 MiB is the least that a record may have, and a key has 256 characters."""


def put_record(given: Mapping[str, Any], of: TheStream) -> Put:
    """Raises InvalidArgumentException."""
    number = given.get("SequenceNumberForOrdering")
    if number is not None and all(of.offset(shard, number) is None for shard in of.stream.shards()):
        raise argument(
            f"ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {of.name} under account {of.account} is invalid."
        )
    return checked_put([entry_of(given)], of)


def entry_of(given: Mapping[str, Any]) -> Entry:
    return Entry(given["Data"], given.get("PartitionKey", ""), given.get("ExplicitHashKey"))


def checked_put(entries: Sequence[Entry], of: TheStream) -> Put:
    """Limits that AWS's model does not tell. Raises InvalidArgumentException."""
    put = put_of(entries)
    if "" in put.keys:
        raise argument(
            "PartitionKey must be provided: the stream's record distribution strategy is USER_PARTITION_KEY."
        )
    for hashed in put.hash_keys.values():
        if hashed >= HASH_KEYS:
            raise argument(
                f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {hashed}"
            )
    if max(map(len, put.data)) > KEY_ROOM_BYTES and _largest(put) > of.kept_file.recent().record_kib * 1024:
        kib = of.kept.record_kib
        for number, (data, key) in enumerate(zip(put.data, put.keys, strict=True), 1):
            if len(data) + len(key.encode()) > kib * 1024:
                raise argument(
                    f"Record {number} of the request exceeds the maximum record size of the stream, {kib} KiB."
                )
    if put.size + sum(map(len, put.keys)) > REQUEST_BYTES_MAX:
        raise argument("Records size exceeds 10 MB limit")
    return put


def _largest(put: Put) -> int:
    return max(len(data) + len(key.encode()) for data, key in zip(put.data, put.keys, strict=True))


def record_answer(placed: Placed) -> dict[str, Any]:
    """Raises what kept the one record out."""
    if isinstance(placed, TailraceError):
        raise of_ours(placed)
    return {"ShardId": placed[0], "SequenceNumber": placed[1]}


def records_answer(placed: Sequence[Placed], of: TheStream) -> dict[str, Any]:
    failed = sum(isinstance(each, TailraceError) for each in placed)
    return {
        "FailedRecordCount": failed,
        "Records": [
            _failed(each, of) if isinstance(each, TailraceError) else {"ShardId": each[0], "SequenceNumber": each[1]}
            for each in placed
        ],
    }


def _failed(error: TailraceError, of: TheStream) -> dict[str, str]:
    if isinstance(error, Backpressure):
        message = f"Rate exceeded for stream {of.name} under account {of.account}: {error.message}."
        return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": message}
    return {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal Service Failure"}
