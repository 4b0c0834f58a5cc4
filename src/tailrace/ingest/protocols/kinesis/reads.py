"""GetShardIterator and GetRecords: reading a shard by position. Runs in worker threads of the ingest process.

The iterator carries shard and offset. One that points before what is kept goes on at what is kept, as AWS's do.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from tailrace.errors import Trimmed
from tailrace.ingest.protocols.kinesis import tokens
from tailrace.ingest.protocols.kinesis.errors import KinesisError, argument
from tailrace.ingest.protocols.kinesis.streams import TheStream, child_shards
from tailrace.ingest.protocols.kinesis.wire import Wire
from tailrace.model.fields import KEY
from tailrace.model.sequence import sequence_base, sequence_number
from tailrace.model.shard import Shard, shard_id
from tailrace.stream.base import Block, ReadRequest, Start, StartKind

RECORDS_MAX = 10_000
BYTES_MAX = 10 << 20
_BLOCKS_AT_ONCE = 16
_BEGUN_MAX = 8
_ITERATOR = 1
_AT, _AFTER = "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one shard, in AWS's form. `next_offset`: where the next page begins. `behind_ms`: how old what comes next is."""

    records: list[dict[str, Any]]
    next_offset: int
    behind_ms: int
    at_end: bool


class Reads:
    def __init__(self, of: TheStream) -> None:
        self._of = of
        self._begun: OrderedDict[tuple[str, int], Block] = OrderedDict()
        self._lock = Lock()

    def get_shard_iterator(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._of.require(given)
        shard = self._of.shard(given["ShardId"])
        kind = given["ShardIteratorType"]
        wants_number, wants_time = kind in (_AT, _AFTER), kind == "AT_TIMESTAMP"
        if wants_number and "StartingSequenceNumber" not in given:
            raise argument(f"Must either specify a StartingSequenceNumber or not use {kind} as the ShardIteratorType.")
        if not wants_number and "StartingSequenceNumber" in given:
            raise argument(f"StartingSequenceNumber must not be specified when ShardIteratorType is {kind}.")
        if wants_time and "Timestamp" not in given:
            raise argument("Must specify a Timestamp when ShardIteratorType is AT_TIMESTAMP.")
        start = {
            "Type": kind,
            "SequenceNumber": given.get("StartingSequenceNumber"),
            "Timestamp": given.get("Timestamp"),
        }
        return {"ShardIterator": self._iterator(shard, self.offset(shard, start, "GetShardIterator"))}

    def offset(self, shard: Shard, start: Mapping[str, Any], operation: str) -> int:
        """The offset that `Type`, `SequenceNumber`, `Timestamp` name. Raises InvalidArgumentException."""
        stream = self._of.stream
        match start["Type"]:
            case "TRIM_HORIZON":
                return stream.offset_at(shard.id, Start(StartKind.TRIM_HORIZON))
            case "LATEST":
                return stream.offset_at(shard.id, Start(StartKind.LATEST))
            case "AT_TIMESTAMP":
                return self._offset_at(shard, start["Timestamp"])
        found = self._of.offset(shard, start["SequenceNumber"])
        end = stream.end(shard.id).next_offset
        if found is None or found > end:
            raise argument(
                f"StartingSequenceNumber {start['SequenceNumber']} used in {operation} on shard {shard.id} in stream "
                f"{self._of.name} under account {self._of.account} is invalid because it did not come from this stream."
            )
        step = 1 if start["Type"] == _AFTER else 0
        return min(end, max(0, found + step))

    def _offset_at(self, shard: Shard, ms: int) -> int:
        if ms > self._of.now_ms() + 1000:
            raise argument(
                f"The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                f"timestampInMillis: {ms}, currentTimestampInMillis: {self._of.now_ms()}"
            )
        return self._of.stream.offset_at(shard.id, Start(StartKind.AT_TIMESTAMP, max(0, ms) * 1000))

    def get_records(self, given: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
        if "StreamARN" in given:
            self._of.require(given)
        shard, offset = self._position(given["ShardIterator"])
        page = self.page(shard, offset, min(given.get("Limit", RECORDS_MAX), RECORDS_MAX), wire)
        found: dict[str, Any] = {"Records": page.records, "MillisBehindLatest": page.behind_ms}
        if page.at_end:
            return found | {"ChildShards": child_shards(self._of.stream.shards(), shard)}
        return found | {"NextShardIterator": self._iterator(shard, page.next_offset)}

    def page(self, shard: Shard, offset: int, limit: int, wire: Wire) -> Page:
        """Up to `limit` records and 10 MiB from `offset` on; one record at least if there is one, however large."""
        closed = self._of.shard(shard.id).closed  # before its end is asked: what is closed now gets no more
        records: list[dict[str, Any]] = []
        size, behind_ms = 0, 0
        for block, first in self._blocks(shard.id, offset):
            if len(records) >= limit:
                self._keep(shard.id, first, block)
                break
            taken, bytes_taken = _records(
                shard, block, first, limit - len(records), BYTES_MAX - size, not records, wire
            )
            records += taken
            size += bytes_taken
            offset = first + len(taken)
            behind_ms = max(0, self._of.now_ms() - block.arrived_at_us // 1000)
            if offset <= block.last_offset:
                self._keep(shard.id, offset, block)
                break
        stands = self._of.stream.end(shard.id)
        if not records:
            offset = max(offset, stands.earliest_offset)
        at_tip = offset >= stands.next_offset
        return Page(records, offset, 0 if at_tip else behind_ms, closed and at_tip)

    def _blocks(self, shard: str, offset: int) -> Iterator[tuple[Block, int]]:
        """Blocks from `offset` on, each with the offset to begin at in it."""
        with self._lock:
            begun = self._begun.pop((shard, offset), None)
        if begun is not None:
            yield begun, offset
            offset = begun.last_offset + 1
        while True:
            ask = ReadRequest(shard, offset, _BLOCKS_AT_ONCE, BYTES_MAX, with_columns=False, with_raw=True)
            try:
                blocks = self._of.stream.read(ask)
            except Trimmed as error:
                offset = error.earliest
                continue
            for block in blocks:
                yield block, max(offset, block.first_offset)
                offset = block.last_offset + 1
            if not blocks:
                return

    def _keep(self, shard: str, offset: int, block: Block) -> None:
        """A block of which a part is left, for who comes for it: small pages would read it again for each."""
        with self._lock:
            self._begun[shard, offset] = block
            if len(self._begun) > _BEGUN_MAX:
                self._begun.popitem(last=False)

    def _iterator(self, shard: Shard, offset: int) -> str:
        return tokens.make(_ITERATOR, self._of.identity, (shard.index, offset), self._of.now_ms())

    def _position(self, token: str) -> tuple[Shard, int]:
        """Raises InvalidArgumentException, ExpiredIteratorException."""
        found = tokens.read(_ITERATOR, self._of.identity, 2, token)
        if found is None:
            raise argument("Invalid ShardIterator.")
        made_ms, (index, offset) = found
        now_ms = self._of.now_ms()
        if tokens.is_expired(made_ms, now_ms):
            raise KinesisError(
                "ExpiredIteratorException",
                f"Iterator expired. The iterator was created at time {_shown(made_ms)} while right now it is {_shown(now_ms)} "
                f"which is further in the future than the tolerated delay of {tokens.LIFETIME_MS} milliseconds.",
            )
        return self._of.shard(shard_id(index)), offset


def _records(
    shard: Shard, block: Block, first: int, limit: int, bytes_max: int, one_at_least: bool, wire: Wire
) -> tuple[list[dict[str, Any]], int]:
    """Records of `block` from offset `first` on, and their bytes."""
    assert block.raw is not None, "asked for"
    rows = block.raw.slice(first - block.first_offset, limit)
    data = rows.column("raw").to_pylist()
    keys = rows.column(KEY).to_pylist() if KEY in rows.schema.names else [None] * len(data)
    arrived = wire.instant(block.arrived_at_us // 1000)
    base, step = sequence_base(shard)
    number = base + (first + 1) * step
    found: list[dict[str, Any]] = []
    size = 0
    for body, key in zip(data, keys, strict=True):
        text = shown_key(key, body)
        size += len(body) + len(text)
        if size > bytes_max and (found or not one_at_least):
            return found, size
        found.append(
            {"SequenceNumber": str(number), "ApproximateArrivalTimestamp": arrived, "Data": body, "PartitionKey": text}
        )
        number += step
    return found, size


def shown_key(key: bytes | None, line: bytes) -> str:
    """The key that decided the shard; for a line that had none, its MD5 in hexadecimal digits, as the line itself decided."""
    if key is None:
        return hashlib.md5(line, usedforsecurity=False).hexdigest()
    return key.decode("utf-8", "replace")


def continuation(shard: Shard, page: Page) -> str:
    """The sequence number after which a subscriber goes on."""
    return sequence_number(shard, page.next_offset - 1)


def _shown(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
