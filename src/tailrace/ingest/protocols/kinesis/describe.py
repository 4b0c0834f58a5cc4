"""Operations that only look: streams, shards, limits, tags, consumers. They run in worker threads of the ingest process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailrace.ingest.protocols.kinesis import tokens
from tailrace.ingest.protocols.kinesis.errors import KinesisError, argument
from tailrace.ingest.protocols.kinesis.kept import Consumer
from tailrace.ingest.protocols.kinesis.streams import HOUR_S, TheStream
from tailrace.ingest.protocols.kinesis.validation import Instant
from tailrace.model.shard import Shard, shard_index
from tailrace.stream.resharding import OPEN_SHARDS_MAX

LIST_SHARDS_MAX = 1_000
DESCRIBE_SHARDS_MAX = 100
LIST_CONSUMERS_MAX = 100
ON_DEMAND_STREAMS_MAX = 50
_SHARDS_TOKEN, _CONSUMERS_TOKEN = 2, 3

Given = Mapping[str, Any]


class Describe:
    def __init__(self, of: TheStream) -> None:
        self._of = of
        self.operations: dict[str, Callable[[Given], dict[str, Any]]] = {
            "DescribeLimits": self.describe_limits,
            "DescribeStream": self.describe_stream,
            "DescribeStreamConsumer": self.describe_stream_consumer,
            "DescribeStreamSummary": self.describe_stream_summary,
            "ListShards": self.list_shards,
            "ListStreamConsumers": self.list_stream_consumers,
            "ListStreams": self.list_streams,
            "ListTagsForResource": self.list_tags_for_resource,
            "ListTagsForStream": self.list_tags_for_stream,
        }

    def describe_limits(self, given: Given) -> dict[str, Any]:
        return {
            "ShardLimit": OPEN_SHARDS_MAX,
            "OpenShardCount": self._open(),
            "OnDemandStreamCount": int(self._of.kept.mode == "ON_DEMAND"),
            "OnDemandStreamCountLimit": ON_DEMAND_STREAMS_MAX,
        }

    def describe_stream(self, given: Given) -> dict[str, Any]:
        self._of.require(given)
        shards = _after(self._of.listed(), given.get("ExclusiveStartShardId"))
        limit = min(given.get("Limit", DESCRIBE_SHARDS_MAX), DESCRIBE_SHARDS_MAX)
        return {
            "StreamDescription": self._common()
            | {
                "Shards": [self._of.described(shard) for shard in shards[:limit]],
                "HasMoreShards": len(shards) > limit,
            }
        }

    def describe_stream_summary(self, given: Given) -> dict[str, Any]:
        self._of.require(given)
        kept = self._of.kept
        return {
            "StreamDescriptionSummary": self._common()
            | {
                "OpenShardCount": self._open(),
                "ConsumerCount": len(kept.consumers),
                "MaxRecordSizeInKiB": kept.record_kib,
            }
        }

    def _common(self) -> dict[str, Any]:
        return {
            "StreamName": self._of.name,
            "StreamARN": self._of.arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": self._of.kept.mode},
            "RetentionPeriodHours": self._of.retention_hours(),
            "StreamCreationTimestamp": Instant(self._of.created_ms),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }

    def _open(self) -> int:
        return sum(not shard.closed for shard in self._of.stream.shards())

    def list_streams(self, given: Given) -> dict[str, Any]:
        after = given.get("ExclusiveStartStreamName") or given.get("NextToken") or ""
        name = self._of.name
        if name <= after:
            return {"StreamNames": [], "HasMoreStreams": False, "StreamSummaries": []}
        summary = {
            "StreamName": name,
            "StreamARN": self._of.arn,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": self._of.kept.mode},
            "StreamCreationTimestamp": Instant(self._of.created_ms),
        }
        return {"StreamNames": [name], "HasMoreStreams": False, "StreamSummaries": [summary]}

    # -- shards ----------------------------------------------------------------------------------------------------

    def list_shards(self, given: Given) -> dict[str, Any]:
        token = given.get("NextToken")
        if token is not None:
            for name in ("StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter"):
                if name in given:
                    raise argument(f"NextToken and {name} cannot be provided together.")
            kind, index, at_ms = self._place(_SHARDS_TOKEN, token, 3)
            shards = [s for s in self._filtered(_FILTERS[kind], None, at_ms) if s.index > index]
        else:
            self._of.require(given)
            self._check_created(given)
            kind, start, at_ms = self._filter(given)
            shards = _after(self._filtered(_FILTERS[kind], start, at_ms), given.get("ExclusiveStartShardId"))
        limit = min(given.get("MaxResults", LIST_SHARDS_MAX), LIST_SHARDS_MAX)
        found: dict[str, Any] = {"Shards": [self._of.described(shard) for shard in shards[:limit]]}
        if len(shards) > limit:
            numbers = (kind, shards[limit - 1].index, at_ms)
            found["NextToken"] = tokens.make(_SHARDS_TOKEN, self._of.identity, numbers, self._of.now_ms())
        return found

    def _filter(self, given: Given) -> tuple[int, str | None, int]:
        """Number of the filter's type, the shard it begins after, its time (ms)."""
        chosen = given.get("ShardFilter")
        if chosen is None:
            return 0, None, 0
        kind = chosen["Type"]
        if "ExclusiveStartShardId" in given:
            raise argument("ShardFilter and ExclusiveStartShardId cannot be provided together.")
        if (kind == "AFTER_SHARD_ID") != ("ShardId" in chosen):
            raise argument("ShardId must be specified with AFTER_SHARD_ID, and with no other type of ShardFilter.")
        if (kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")) != ("Timestamp" in chosen):
            raise argument("Timestamp must be specified with AT_TIMESTAMP and FROM_TIMESTAMP, and with no other type.")
        return _FILTERS.index(kind), chosen.get("ShardId"), max(0, chosen.get("Timestamp", 0))

    def _filtered(self, kind: str, start: str | None, at_ms: int) -> list[Shard]:
        """Source of the rules: ListShards, ShardFilter. A shard was open from its creation until its children's."""
        shards, ended = self._of.listed(), self._of.closed_ms()
        oldest = max(self._of.created_ms, self._of.now_ms() - self._of.retention_hours() * HOUR_S * 1000)
        at_ms = max(at_ms, oldest)
        match kind:
            case "AFTER_SHARD_ID":
                return _after(shards, start)
            case "AT_LATEST":
                return [s for s in shards if not s.closed]
            case "AT_TRIM_HORIZON":
                return [s for s in shards if self._of.born_ms(s) <= oldest < ended.get(s.id, oldest + 1)]
            case "AT_TIMESTAMP":
                return [s for s in shards if self._of.born_ms(s) <= at_ms < ended.get(s.id, at_ms + 1)]
            case "FROM_TIMESTAMP":
                return [s for s in shards if at_ms < ended.get(s.id, at_ms + 1)]
        return shards

    # -- tags and consumers ----------------------------------------------------------------------------------------

    def list_tags_for_stream(self, given: Given) -> dict[str, Any]:
        self._of.require(given)
        tags = _tags(self._of.kept.tags)
        after = given.get("ExclusiveStartTagKey", "")
        tags = [tag for tag in tags if tag["Key"] > after]
        limit = given.get("Limit", 50)
        return {"Tags": tags[:limit], "HasMoreTags": len(tags) > limit}

    def list_tags_for_resource(self, given: Given) -> dict[str, Any]:
        arn = given["ResourceARN"]
        if "/consumer/" in arn:
            return {"Tags": _tags(self._of.consumer({"ConsumerARN": arn}).tags)}
        self._of.require({"StreamARN": arn})
        return {"Tags": _tags(self._of.kept.tags)}

    def describe_stream_consumer(self, given: Given) -> dict[str, Any]:
        found = described_consumer(self._of, self._of.consumer(given))
        return {"ConsumerDescription": found | {"StreamARN": self._of.arn}}

    def list_stream_consumers(self, given: Given) -> dict[str, Any]:
        self._of.require({"StreamARN": given["StreamARN"]})
        self._check_created(given)
        first = self._place(_CONSUMERS_TOKEN, given["NextToken"], 1)[0] if "NextToken" in given else 0
        consumers = sorted(self._of.kept.consumers, key=lambda each: each.name)[first:]
        limit = min(given.get("MaxResults", LIST_CONSUMERS_MAX), LIST_CONSUMERS_MAX)
        found: dict[str, Any] = {"Consumers": [described_consumer(self._of, each) for each in consumers[:limit]]}
        if len(consumers) > limit:
            place = (first + limit,)
            found["NextToken"] = tokens.make(_CONSUMERS_TOKEN, self._of.identity, place, self._of.now_ms())
        return found

    def _place(self, kind: int, token: str, count: int) -> tuple[int, ...]:
        """The numbers of a token for a next page. Raises InvalidArgumentException, ExpiredNextTokenException."""
        found = tokens.read(kind, self._of.identity, count, token)
        if found is None:
            raise argument("NextToken is invalid.")
        if tokens.is_expired(found[0], self._of.now_ms()):
            raise KinesisError(
                "ExpiredNextTokenException", "The pagination token has expired: it is good for 300 seconds."
            )
        return found[1]

    def _check_created(self, given: Given) -> None:
        created_ms = given.get("StreamCreationTimestamp")
        if created_ms is not None and created_ms // 1000 != self._of.created_ms // 1000:
            raise self._of.no_stream(f"{self._of.name} created at {created_ms // 1000}")


_FILTERS = ("", "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP")


def described_consumer(of: TheStream, consumer: Consumer) -> dict[str, Any]:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": of.consumer_arn(consumer),
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": Instant(consumer.created_s * 1000),
    }


def _after(shards: Sequence[Shard], start: str | None) -> list[Shard]:
    """Those behind the shard of that id, which need not exist. Raises InvalidArgumentException if it is no shard's id."""
    if start is None:
        return list(shards)
    try:
        index = shard_index(start)
    except ValueError as error:
        raise argument(f"ExclusiveStartShardId {start} is not the id of a shard.") from error
    return [shard for shard in shards if shard.index > index]


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
