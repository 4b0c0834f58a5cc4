"""SubscribeToShard: a shard's records pushed to a registered consumer for five minutes, as messages of an event stream.

Which subscription a consumer has of a shard is known by a small file, since requests come to any ingest process: a newer one takes over,
and the older ends. How the messages reach the client is the server's matter: here they are bytes, one after the other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.errors import TailraceError
from tailrace.ingest.protocols.kinesis.errors import KinesisError, argument, in_use, of_ours
from tailrace.ingest.protocols.kinesis.eventstream import event, exception
from tailrace.ingest.protocols.kinesis.reads import RECORDS_MAX, Reads
from tailrace.ingest.protocols.kinesis.streams import TheStream, child_shards
from tailrace.ingest.protocols.kinesis.wire import Wire
from tailrace.model.sequence import sequence_number
from tailrace.model.shard import Shard
from tailrace.runtime.files import write_atomic
from tailrace.runtime.ids import unique_id

LIFETIME_S = 300
TAKEOVER_S = 5
QUIET_S = 5
"""Without records an event says every so often that there are none."""
_POLL_S = 0.1
_RECORDS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Claim:
    """A consumer's hold on a shard: the file stands for it while it has this text."""

    path: Path
    text: str

    def stands(self) -> bool:
        try:
            return self.path.read_text() == self.text
        except FileNotFoundError:
            return False


class Subscriptions:
    """`folder`: where claims are, shared by all ingest processes."""

    def __init__(self, of: TheStream, reads: Reads, folder: Path) -> None:
        self._of = of
        self._reads = reads
        self._folder = folder

    def begin(self, given: Mapping[str, Any]) -> tuple[Shard, int, Claim]:
        """The shard, the offset to begin at, the hold on it. Raises ResourceInUseException within 5 s of the last one."""
        consumer = self._of.consumer({"ConsumerARN": given["ConsumerARN"]})
        shard = self._of.shard(given["ShardId"])
        start = given["StartingPosition"]
        kind = start["Type"]
        if kind.endswith("SEQUENCE_NUMBER") != ("SequenceNumber" in start):
            raise argument(
                "SequenceNumber must be specified with AT_ and AFTER_SEQUENCE_NUMBER, and with no other Type."
            )
        if (kind == "AT_TIMESTAMP") != ("Timestamp" in start):
            raise argument("Timestamp must be specified with AT_TIMESTAMP, and with no other Type.")
        offset = self._reads.offset(shard, start, "SubscribeToShard")
        name = f"{self._of.consumer_arn(consumer)} {shard.id}"
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        now_ms = self._of.now_ms()
        try:
            before_ms = int(path.read_text().partition(" ")[0])
        except (FileNotFoundError, ValueError):
            before_ms = 0
        if 0 <= now_ms - before_ms < TAKEOVER_S * 1000:
            raise in_use(
                f"Another active subscription exists for this consumer: {self._of.account}:{self._of.name}:{shard.id}:{consumer.name}"
            )
        claim = Claim(path, f"{now_ms} {unique_id()}")
        write_atomic(path, claim.text.encode(), durable=False)
        return shard, offset, claim

    async def events(self, shard: Shard, offset: int, claim: Claim, wire: Wire) -> AsyncGenerator[bytes, None]:
        """Messages until the five minutes are over, the shard has ended, or another subscription has taken over."""
        yield event("initial-response", wire.media_type, wire.encode({}))
        clock = self._of.clock
        ends_s, told_s = clock.monotonic_s() + LIFETIME_S, float("-inf")
        while clock.monotonic_s() < ends_s:
            try:
                found = await asyncio.to_thread(self._next, shard, offset, claim, wire)
            except (KinesisError, TailraceError) as error:
                problem = of_ours(error) if isinstance(error, TailraceError) else error
                name = problem.name if problem.name in _TOLD else "InternalFailureException"
                yield exception(name, wire.media_type, wire.encode({"message": problem.message}))
                return
            body, next_offset, at_end = found
            if next_offset > offset or at_end or clock.monotonic_s() - told_s >= QUIET_S:
                told_s = clock.monotonic_s()
                yield event("SubscribeToShardEvent", wire.media_type, wire.encode(body))
            if at_end:
                return
            if next_offset == offset:
                await asyncio.sleep(_POLL_S)
            offset = next_offset

    def _next(self, shard: Shard, offset: int, claim: Claim, wire: Wire) -> tuple[dict[str, Any], int, bool]:
        """The next event, where the one after begins, whether it is the shard's last."""
        if not claim.stands():
            raise in_use("Another subscription of this consumer has taken over.")
        page = self._reads.page(shard, offset, min(_RECORDS_AT_ONCE, RECORDS_MAX), wire)
        body = {"Records": page.records, "MillisBehindLatest": page.behind_ms}
        if page.at_end:
            # One or the other: the client library takes an event with both for a broken one.
            body["ChildShards"] = child_shards(self._of.stream.shards(), shard)
        else:
            body["ContinuationSequenceNumber"] = sequence_number(shard, page.next_offset - 1)
        return body, page.next_offset, page.at_end


_TOLD = frozenset({"ResourceNotFoundException", "ResourceInUseException", "InternalFailureException"})
