"""The seam between the stream and everything that writes or reads it.

A record's coordinate is (shard, offset): the ordinal of its line in the shard, from 0, gapless, dead letters included.
Both layers hand over by *epoch*, a number per shard that the stream itself gives to a block inside the append's transaction;
only `seal` raises it. Backends pass `tailrace.testing.contracts.stream`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import pyarrow as pa

from tailrace.model.record_hash import UNKNOWN, RecordHash
from tailrace.model.shard import Shard


@dataclass(frozen=True, slots=True)
class ProducerStamp:
    """Identity of one post of a producer, from `Tailrace-Producer: ID;EPOCH;N`. A retry carries the same stamp."""

    id: str
    epoch: int
    n: int


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """Lines of one post that belong to one shard, in their order.

    `columns`: `Fields.block_schema()`, m rows. `raw`: `BLOCK_RAW_SCHEMA`, its keys may be missing, m rows (text columns and keys may be
    dictionary-encoded). `lines`: the m line numbers in the post (ascending, from 0); with `producer` they are what deduplication
    remembers. `ids`: binary array of m identities (null: none) that deduplication remembers one by one; not together with `producer`.
    """

    shard_id: str
    columns: pa.Table
    raw: pa.Table
    lines: Sequence[int] = ()
    producer: ProducerStamp | None = None
    ids: pa.Array | None = None

    @property
    def bytes(self) -> int:
        return int(self.columns.nbytes + self.raw.nbytes)


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a ShardBatch, once durable.

    `first_offset`..`last_offset` are the offsets given; last < first when every line was a duplicate. `epoch` is the epoch
    they were given in. `stored` + `dead_lettered` + `deduplicated` = the batch's lines. `duplicate_lines`: line numbers (of the
    post) that had been stored before. `repeats`: of those that `ids` told, where the first one stands: (shard, offset).
    """

    shard_id: str
    epoch: int
    first_offset: int
    last_offset: int
    stored: int
    dead_lettered: int
    deduplicated: int
    duplicate_lines: frozenset[int] = frozenset()
    repeats: Mapping[int, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """One committed block, as read. `columns`/`raw` are None unless asked for. `count` lines from `first_offset`."""

    shard_id: str
    epoch: int
    first_offset: int
    count: int
    arrived_at_us: int
    columns: pa.Table | None = None
    raw: pa.Table | None = None

    @property
    def last_offset(self) -> int:
        return self.first_offset + self.count - 1


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """Lines, per shard and epoch: received = stored + dead_lettered + deduplicated."""

    stored: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0

    @property
    def received(self) -> int:
        return self.stored + self.dead_lettered + self.deduplicated

    def __add__(self, other: LedgerCounts) -> LedgerCounts:
        return LedgerCounts(
            self.stored + other.stored,
            self.dead_lettered + other.dead_lettered,
            self.deduplicated + other.deduplicated,
        )


@dataclass(frozen=True, slots=True)
class EpochSeal:
    """A closed epoch: offsets `first_offset`..`last_offset` of the shard, and what came in while it was open.

    `hash`: of its good records, with their offsets, as they were given to the stream; unknown where an older version stored some.
    """

    shard_id: str
    epoch: int
    first_offset: int
    last_offset: int
    sealed_at_us: int
    counts: LedgerCounts
    hash: RecordHash = UNKNOWN


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """Where a shard stands: the next offset it will give, its open epoch, the first offset still kept, bytes on disk.

    `open_counts` and `open_hash`: what the open epoch's seal would say now.
    """

    next_offset: int
    open_epoch: int
    open_counts: LedgerCounts
    earliest_offset: int
    bytes: int
    open_hash: RecordHash = UNKNOWN


@dataclass(frozen=True, slots=True)
class Resharded:
    """What a split or a merge did: shards `closed` (their epochs all sealed), and the new ones that took their place."""

    closed: tuple[Shard, ...]
    children: tuple[Shard, ...]


class StartKind(Enum):
    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"
    AT_OFFSET = "AT_OFFSET"
    AFTER_OFFSET = "AFTER_OFFSET"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader begins; the five iterator kinds of Kinesis. `value`: microseconds or an offset, by kind."""

    kind: StartKind
    value: int = 0


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """`with_columns`/`with_raw`: which halves of a block to decode. At least one block is returned if there is one."""

    shard_id: str
    start_offset: int
    max_blocks: int = 256
    max_bytes: int = 32 << 20
    with_columns: bool = True
    with_raw: bool = False


class StreamBackend(Protocol):
    """A durable sharded log. Thread-safe; several processes may append and read at once.

    Callers: ingest appends; speed, batch and queries read; the node seals; retention trims.
    """

    def shards(self) -> tuple[Shard, ...]:
        """All shards, open and closed, by index. Open ones cover the whole hash space. Cheap, and never older than the call."""
        ...

    def append(self, batch: ShardBatch) -> Future[Appended]:
        """Queue a batch; the future resolves only once it is durable (fsynced).

        Lines of `producer`'s stamp already stored in the shard, or in one that it descends from, within the dedupe horizon are
        not stored again. If the shard is closed, the future fails with ShardClosed: then nothing of the batch is stored, and
        `shards()` names those to divide its lines among.
        Raises Backpressure at once when the queue is full. The future fails with Unavailable if the store cannot be written:
        then nothing of the batch is stored, or it is stored whole and a retry with the same stamp changes nothing.
        """
        ...

    def read(self, request: ReadRequest) -> list[Block]:
        """Committed blocks from the one that holds `start_offset` (it may begin before it), in order, gapless.

        Raises Trimmed if `start_offset` is older than what is kept, GapFound if blocks are missing.
        """
        ...

    def end(self, shard_id: str) -> ShardEnd: ...

    def seals(self, shard_id: str, after_epoch: int = 0) -> list[EpochSeal]:
        """Sealed epochs greater than `after_epoch`, ascending."""
        ...

    def seal(self, shard_id: str) -> EpochSeal | None:
        """Close the open epoch if it holds anything (else None). Called by the one sealer, about every 5 s."""
        ...

    def offset_at(self, shard_id: str, start: Start) -> int:
        """The offset at which a reader with this start begins; for AT_TIMESTAMP, the first block that arrived at or after it."""
        ...

    def split(self, shard_id: str, at: int | None = None) -> Resharded:
        """Close an open shard; two new ones take its place, the second beginning at hash key `at` (default: the middle).

        Returns once both take appends, in every process. A key's records in the closed shard all came before those in the new.
        The new shards' first epoch follows the closed one's last. Raises NotFound, ShardClosed if it is closed already, Invalid if
        `at` is not inside its range or there would be too many open shards: then nothing has changed.
        """
        ...

    def merge(self, shard_id: str, adjacent_id: str) -> Resharded:
        """Close two open shards whose hash ranges touch; one new shard takes their place. Its first epoch follows the later of both.

        Raises as `split` does; Invalid if the two are not neighbours.
        """
        ...

    def trim(self, shard_id: str, through_epoch: int, before_us: int, bytes_max: int | None = None) -> int:
        """Drop whole closed files, oldest first, whose epochs are all <= `through_epoch`: those that were closed before `before_us`,
        and then more of them while the shard has more than `bytes_max` bytes on disk (None: no limit).

        Returns the number of files dropped. The caller passes its own frontier, so nothing unread by batch goes.
        """
        ...

    def close(self) -> None:
        """Flush what is queued, then release everything."""
        ...


def seal_of(stream: StreamBackend, shard_id: str, epoch: int) -> EpochSeal | None:
    """The seal of one epoch; None if it is open, had no lines, or has been trimmed."""
    found = stream.seals(shard_id, epoch - 1)[:1]
    return found[0] if found and found[0].epoch == epoch else None
