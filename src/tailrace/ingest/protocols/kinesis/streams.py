"""The stream under the names that the API uses: ARNs, shards as AWS describes them, sequence numbers, retention.

A node has one stream. It has the name that CreateStream gave it before the first record came in, else `[stream] name` of the settings.
Region and account of an ARN that a client sends: the account must be the node's, the region is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.config.settings import Settings
from tailrace.errors import Invalid
from tailrace.ingest.protocols.kinesis.errors import argument, not_found
from tailrace.ingest.protocols.kinesis.kept import Consumer, Kept, KeptFile
from tailrace.model.sequence import offset_of, sequence_number
from tailrace.model.shard import Shard, shard_id
from tailrace.runtime.clock import Clock
from tailrace.stream.base import StreamBackend
from tailrace.stream.resharding import children_of

HOUR_S = 3_600
RETENTION_HOURS_MIN = 24
_STREAM_ARN = re.compile(r"arn:aws[^:]*:kinesis:[^:]*:(\d{12}):stream/([A-Za-z0-9_.-]+)")
_CONSUMER_ARN = re.compile(
    r"arn:aws[^:]*:kinesis:[^:]*:(\d{12}):stream/([A-Za-z0-9_.-]+)/consumer/([A-Za-z0-9_.-]+):(\d+)"
)


@dataclass(frozen=True, slots=True)
class TheStream:
    """What all operations share. `settings`: of the node."""

    stream: StreamBackend
    settings: Settings
    kept_file: KeptFile
    clock: Clock

    @property
    def name(self) -> str:
        return self.kept.name or self.settings.stream.name

    @property
    def account(self) -> str:
        return self.settings.kinesis.account_id

    @property
    def arn(self) -> str:
        return f"arn:aws:kinesis:{self.settings.kinesis.region}:{self.account}:stream/{self.name}"

    @property
    def kept(self) -> Kept:
        return self.kept_file.read()

    @property
    def created_ms(self) -> int:
        return self.kept.created_ms or min(shard.created_s for shard in self.stream.shards()) * 1000

    @property
    def identity(self) -> str:
        """What tells it from every other stream, one of the same name in another data folder too."""
        return f"{self.arn} {self.created_ms}"

    def now_ms(self) -> int:
        return self.clock.now_us() // 1000

    def retention_hours(self) -> int:
        """As the API has set it, else as `[retention] stream_age_s` says; 24 at least, as AWS shows nothing less."""
        set_by_api = self.kept.retention_hours
        if set_by_api is not None:
            return set_by_api
        age_s = self.settings.retention.stream_age_s
        return max(RETENTION_HOURS_MIN, age_s // HOUR_S) if age_s else 8_760

    # -- names -----------------------------------------------------------------------------------------------------

    def require(self, given: Mapping[str, Any]) -> None:
        """Raises unless `StreamName` or `StreamARN` of an input name the node's stream."""
        name, arn = given.get("StreamName"), given.get("StreamARN")
        if name is None and arn is None:
            raise argument("Either StreamName or StreamARN must be provided.")
        account = self.account
        if arn is not None:
            match = _STREAM_ARN.fullmatch(arn)
            if match is None:
                raise argument(f"StreamARN {arn} is not the ARN of a stream.")
            if name is not None and name != match[2]:
                raise argument("StreamARN and StreamName do not name the same stream.")
            account, name = match[1], match[2]
        if account == self.account and name == (self.kept_file.recent().name or self.settings.stream.name):
            return
        if (account, name) != (self.account, self.name):
            raise self.no_stream(str(name), account)

    def no_stream(self, name: str, account: str | None = None) -> Exception:
        return not_found(f"Stream {name} under account {account or self.account} not found.")

    def shard(self, name: str) -> Shard:
        """Raises ResourceNotFoundException."""
        found = next((s for s in self.stream.shards() if s.id == name), None)
        if found is None:
            raise not_found(f"Shard {name} in stream {self.name} under account {self.account} does not exist")
        return found

    def consumer_arn(self, consumer: Consumer) -> str:
        return f"{self.arn}/consumer/{consumer.name}:{consumer.created_s}"

    def consumer(self, given: Mapping[str, Any]) -> Consumer:
        """By `ConsumerARN`, or by `StreamARN` and `ConsumerName`. Raises ResourceNotFoundException, InvalidArgumentException."""
        arn, name, created_s = given.get("ConsumerARN"), given.get("ConsumerName"), None
        if arn is not None:
            match = _CONSUMER_ARN.fullmatch(arn)
            if match is None:
                raise argument(f"ConsumerARN {arn} is not the ARN of a consumer.")
            if (match[1], match[2]) != (self.account, self.name):
                raise self.no_stream(match[2], match[1])
            name, created_s = match[3], int(match[4])
        elif name is None or given.get("StreamARN") is None:
            raise argument("Either ConsumerARN, or both StreamARN and ConsumerName must be provided.")
        else:
            self.require({"StreamARN": given["StreamARN"]})
        for each in self.kept.consumers:
            if each.name == name and created_s in (None, each.created_s):
                return each
        raise not_found(f"Consumer {name} in stream {self.name} under account {self.account} not found.")

    # -- shards ----------------------------------------------------------------------------------------------------

    def closed_ms(self) -> dict[str, int]:
        """When each closed shard ended: when its children began."""
        shards = self.stream.shards()
        born = {s.id: s.created_s for s in shards}
        return {parent: min(born[child] for child in ids) * 1000 for parent, ids in children_of(shards).items()}

    def born_ms(self, shard: Shard) -> int:
        """When it was opened: with the stream, unless it came from a split or a merge since."""
        return shard.created_s * 1000 if self._parents(shard) else min(self.created_ms, shard.created_s * 1000)

    def _parents(self, shard: Shard) -> list[str]:
        hidden = {shard_id(index) for index in self.kept.hidden}
        return [parent for parent in shard.parents if parent not in hidden]

    def listed(self) -> list[Shard]:
        """Those whose records are within the retention, by index; none from before the stream was created."""
        hidden = set(self.kept.hidden)
        ended, horizon = self.closed_ms(), self.now_ms() - self.retention_hours() * HOUR_S * 1000
        shards = [s for s in self.stream.shards() if s.index not in hidden]
        return [s for s in shards if not s.closed or ended.get(s.id, horizon + 1) > horizon]

    def described(self, shard: Shard) -> dict[str, Any]:
        numbers = {"StartingSequenceNumber": sequence_number(shard, -1)}
        if shard.closed:
            numbers["EndingSequenceNumber"] = sequence_number(shard, self.stream.end(shard.id).next_offset)
        found: dict[str, Any] = {
            "ShardId": shard.id,
            "HashKeyRange": hash_range(shard),
            "SequenceNumberRange": numbers,
        }
        names = ("ParentShardId", "AdjacentParentShardId")
        return found | dict(zip(names, self._parents(shard), strict=False))

    def offset(self, shard: Shard, number: str) -> int | None:
        """The offset of a sequence number of the shard, -1 for the one it begins with; None if it is none of the shard."""
        if number == sequence_number(shard, -1):
            return -1
        try:
            return offset_of(shard, number)
        except Invalid:
            return None


def hash_range(shard: Shard) -> dict[str, str]:
    return {"StartingHashKey": str(shard.hash_first), "EndingHashKey": str(shard.hash_last)}


def child_shards(shards: Sequence[Shard], parent: Shard) -> list[dict[str, Any]]:
    """As GetRecords and SubscribeToShard tell them at the end of a closed shard."""
    return [
        {"ShardId": s.id, "ParentShards": list(s.parents), "HashKeyRange": hash_range(s)}
        for s in shards
        if parent.id in s.parents
    ]
