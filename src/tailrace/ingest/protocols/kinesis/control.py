"""Operations that change the stream or what is kept about it. They run in the node, one at a time, in worker threads.

What AWS does in the background (splits, consumers) is done when the answer goes out: the stream's status is ACTIVE before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import msgspec

from tailrace.errors import TailraceError
from tailrace.ingest.protocols.kinesis.describe import described_consumer
from tailrace.ingest.protocols.kinesis.errors import KinesisError, argument, in_use, limit, of_ours, validation
from tailrace.ingest.protocols.kinesis.kept import Consumer
from tailrace.ingest.protocols.kinesis.scaling import scale
from tailrace.ingest.protocols.kinesis.streams import RETENTION_HOURS_MIN, TheStream
from tailrace.model.shard import HASH_KEYS
from tailrace.stream.resharding import OPEN_SHARDS_MAX

RETENTION_HOURS_MAX = 8_760
CONSUMERS_MAX = 20
ON_DEMAND_SHARDS = 4
TAGS_MAX = 50
RESIZES_MAX = 10
MODE_CHANGES_MAX = 2
_DAY_MS = 86_400_000

Given = Mapping[str, Any]
OPERATIONS = frozenset(
    {
        "AddTagsToStream",
        "CreateStream",
        "DecreaseStreamRetentionPeriod",
        "DeleteStream",
        "DeregisterStreamConsumer",
        "IncreaseStreamRetentionPeriod",
        "MergeShards",
        "RegisterStreamConsumer",
        "RemoveTagsFromStream",
        "SplitShard",
        "TagResource",
        "UntagResource",
        "UpdateMaxRecordSize",
        "UpdateShardCount",
        "UpdateStreamMode",
    }
)


class Control:
    """`run` is thread-safe."""

    def __init__(self, of: TheStream) -> None:
        self._of = of
        self._lock = Lock()

    def run(self, operation: str, given: Given) -> dict[str, Any]:
        """`given`: checked against AWS's model. Raises KinesisError."""
        work: Callable[[Given], dict[str, Any] | None] = getattr(self, _method(operation))
        with self._lock:
            try:
                return work(given) or {}
            except TailraceError as error:
                raise of_ours(error) from error

    def _change(self, **values: Any) -> None:
        self._of.kept_file.write(msgspec.structs.replace(self._of.kept, **values))

    # -- the stream ------------------------------------------------------------------------------------------------

    def _create_stream(self, given: Given) -> None:
        name, mode = given["StreamName"], given.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED")
        if mode == "PROVISIONED" and "ShardCount" not in given:
            raise validation("ShardCount must be provided for a stream in the PROVISIONED mode.")
        if mode == "ON_DEMAND" and "ShardCount" in given:
            raise argument("ShardCount must not be provided for a stream in the ON_DEMAND mode.")
        kept, shards = self._of.kept, self._of.stream.shards()
        if kept.name or any(self._of.stream.end(shard.id).next_offset for shard in shards):
            if name == self._of.name:
                raise in_use(f"Stream {name} under account {self._of.account} already exists.")
            raise limit(
                f"This node has one stream, {self._of.name}, and takes no other. For a stream {name} start another node, on another data "
                "folder and port."
            )
        count = given.get("ShardCount", ON_DEMAND_SHARDS)
        if count > OPEN_SHARDS_MAX:
            raise limit(f"This request would exceed the shard limit of the node: {OPEN_SHARDS_MAX} open shards.")
        scale(self._of.stream, count)
        closed = [shard for shard in self._of.stream.shards() if shard.closed]
        before = tuple(s.index for s in closed if not self._of.stream.end(s.id).next_offset)
        self._change(
            name=name,
            created_ms=self._of.now_ms(),
            hidden=before,
            mode=mode,
            tags=_tagged({}, given.get("Tags", {})),
            record_kib=given.get("MaxRecordSizeInKiB", kept.record_kib),
        )

    def _delete_stream(self, given: Given) -> None:
        self._of.require(given)
        raise in_use(
            f"Stream {self._of.name} under account {self._of.account} feeds the views of this node. It goes with the node's data "
            "folder, not by a request."
        )

    def _increase_stream_retention_period(self, given: Given) -> None:
        hours, now = self._hours(given)
        if hours < now:
            raise argument(
                f"Requested retention period ({hours} hours) for stream {self._of.name} can not be shorter than existing retention "
                f"period ({now} hours). Use DecreaseRetentionPeriod API."
            )
        self._change(retention_hours=hours)

    def _decrease_stream_retention_period(self, given: Given) -> None:
        hours, now = self._hours(given)
        if hours > now:
            raise argument(
                f"Requested retention period ({hours} hours) for stream {self._of.name} can not be longer than existing retention "
                f"period ({now} hours). Use IncreaseRetentionPeriod API."
            )
        self._change(retention_hours=hours)

    def _hours(self, given: Given) -> tuple[int, int]:
        self._of.require(given)
        hours = given["RetentionPeriodHours"]
        if hours < RETENTION_HOURS_MIN:
            raise argument(
                f"Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. Requested: {hours} hours."
            )
        if hours > RETENTION_HOURS_MAX:
            raise argument(
                f"Maximum allowed retention period is {RETENTION_HOURS_MAX} hours. Requested: {hours} hours."
            )
        return hours, self._of.retention_hours()

    def _update_stream_mode(self, given: Given) -> None:
        self._of.require({"StreamARN": given["StreamARN"]})
        kept, mode = self._of.kept, given["StreamModeDetails"]["StreamMode"]
        if mode == kept.mode:
            raise argument(f"Stream {self._of.name} under account {self._of.account} is in the {mode} mode already.")
        recent = self._recent(kept.mode_changed_ms)
        if len(recent) >= MODE_CHANGES_MAX:
            raise limit(f"The mode of a stream can be changed {MODE_CHANGES_MAX} times within 24 hours.")
        self._change(mode=mode, mode_changed_ms=(*recent, self._of.now_ms()))

    def _update_max_record_size(self, given: Given) -> None:
        self._of.require(given)
        self._change(record_kib=given["MaxRecordSizeInKiB"])

    # -- shards ----------------------------------------------------------------------------------------------------

    def _split_shard(self, given: Given) -> None:
        self._of.require(given)
        self._provisioned("SplitShard")
        shard = self._named(given["ShardToSplit"])
        at = int(given["NewStartingHashKey"])
        if at >= HASH_KEYS:
            raise argument(
                f"Invalid NewStartingHashKey. It must be in the range: [0, 2^128-1]. Specified value was {at}"
            )
        self._check_open(shard.id)
        if not shard.hash_first + 1 < at < shard.hash_last:
            raise argument(
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream {self._of.name} under account "
                f"{self._of.account} is not both greater than one plus the shard's StartingHashKey {shard.hash_first} and less than "
                f"the shard's EndingHashKey {shard.hash_last}."
            )
        if sum(not s.closed for s in self._of.stream.shards()) >= OPEN_SHARDS_MAX:
            raise limit(f"This request would exceed the shard limit of the node: {OPEN_SHARDS_MAX} open shards.")
        self._of.stream.split(shard.id, at)

    def _merge_shards(self, given: Given) -> None:
        self._of.require(given)
        self._provisioned("MergeShards")
        first, second = self._named(given["ShardToMerge"]), self._named(given["AdjacentShardToMerge"])
        self._check_open(first.id)
        self._check_open(second.id)
        low, high = sorted((first, second), key=lambda shard: shard.hash_first)
        if low.hash_last + 1 != high.hash_first:
            raise argument(
                f"Shards {first.id} and {second.id} in stream {self._of.name} under account {self._of.account} are not an adjacent "
                "pair of shards eligible for merging"
            )
        self._of.stream.merge(first.id, second.id)

    def _update_shard_count(self, given: Given) -> dict[str, Any]:
        self._of.require(given)
        self._provisioned("UpdateShardCount")
        target = given["TargetShardCount"]
        current = sum(not shard.closed for shard in self._of.stream.shards())
        recent = self._recent(self._of.kept.resized_ms)
        if len(recent) >= RESIZES_MAX:
            raise limit(f"UpdateShardCount can be called {RESIZES_MAX} times within 24 hours for a stream.")
        if target > 2 * current or 2 * target < current:
            raise limit(
                f"UpdateShardCount cannot scale to more than double or less than half of the current open shard count. "
                f"Current open shard count: {current}, target shard count: {target}"
            )
        if target > OPEN_SHARDS_MAX:
            raise limit(f"Target shard count {target} exceeds the shard limit of the node: {OPEN_SHARDS_MAX}.")
        scale(self._of.stream, target)
        self._change(resized_ms=(*recent, self._of.now_ms()))
        return {
            "StreamName": self._of.name,
            "StreamARN": self._of.arn,
            "CurrentShardCount": current,
            "TargetShardCount": target,
        }

    def _provisioned(self, operation: str) -> None:
        if self._of.kept.mode != "PROVISIONED":
            raise validation(f"{operation} is only supported for data streams with the provisioned capacity mode.")

    def _named(self, shard_id: str) -> Any:
        found = next((s for s in self._of.stream.shards() if s.id == shard_id), None)
        if found is None:
            raise KinesisError(
                "ResourceNotFoundException",
                f"Could not find shard {shard_id} in stream {self._of.name} under account {self._of.account}.",
            )
        return found

    def _check_open(self, shard_id: str) -> None:
        if self._of.shard(shard_id).closed:
            raise argument(
                f"Shard {shard_id} in stream {self._of.name} under account {self._of.account} is not an open shard: it has been "
                "split or merged already."
            )

    # -- tags ------------------------------------------------------------------------------------------------------

    def _add_tags_to_stream(self, given: Given) -> None:
        self._of.require(given)
        self._change(tags=_tagged(self._of.kept.tags, given["Tags"]))

    def _remove_tags_from_stream(self, given: Given) -> None:
        self._of.require(given)
        self._change(tags=_untagged(self._of.kept.tags, given["TagKeys"]))

    def _tag_resource(self, given: Given) -> None:
        self._retag(given["ResourceARN"], lambda tags: _tagged(tags, given["Tags"]))

    def _untag_resource(self, given: Given) -> None:
        self._retag(given["ResourceARN"], lambda tags: _untagged(tags, given["TagKeys"]))

    def _retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        if "/consumer/" not in arn:
            self._of.require({"StreamARN": arn})
            self._change(tags=change(self._of.kept.tags))
            return
        found = self._of.consumer({"ConsumerARN": arn})
        changed = msgspec.structs.replace(found, tags=change(found.tags))
        self._change(consumers=tuple(changed if each == found else each for each in self._of.kept.consumers))

    # -- consumers -------------------------------------------------------------------------------------------------

    def _register_stream_consumer(self, given: Given) -> dict[str, Any]:
        self._of.require({"StreamARN": given["StreamARN"]})
        kept, name = self._of.kept, given["ConsumerName"]
        if any(each.name == name for each in kept.consumers):
            raise in_use(f"Consumer {name} in stream {self._of.name} under account {self._of.account} already exists.")
        if len(kept.consumers) >= CONSUMERS_MAX:
            raise limit(f"Stream {self._of.name} has {CONSUMERS_MAX} consumers already, more cannot be registered.")
        consumer = Consumer(name, self._of.now_ms() // 1000, _tagged({}, given.get("Tags", {})))
        self._change(consumers=(*kept.consumers, consumer))
        return {"Consumer": described_consumer(self._of, consumer)}

    def _deregister_stream_consumer(self, given: Given) -> None:
        gone = self._of.consumer(given)
        self._change(consumers=tuple(each for each in self._of.kept.consumers if each != gone))

    def _recent(self, times_ms: tuple[int, ...]) -> tuple[int, ...]:
        now_ms = self._of.now_ms()
        return tuple(ms for ms in times_ms if ms > now_ms - _DAY_MS)


def _method(operation: str) -> str:
    if operation not in OPERATIONS:
        raise AssertionError(f"{operation} changes nothing")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)


def _tagged(tags: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    if any(key.lower().startswith("aws:") for key in more):
        raise argument("Tag keys that begin with aws: are reserved.")
    found = {**tags, **more}
    if len(found) > TAGS_MAX:
        raise limit(f"A resource has {TAGS_MAX} tags at most.")
    return found


def _untagged(tags: Mapping[str, str], keys: list[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in keys}
