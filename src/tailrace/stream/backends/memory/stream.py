"""A stream in the memory of one process. Same order, epochs, deduplication and errors as a durable one."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.errors import Invalid, Trimmed, Unavailable
from tailrace.model.fields import Fields
from tailrace.model.record_hash import NO_RECORDS, RecordHash
from tailrace.model.shard import Shard, even_shards
from tailrace.runtime.clock import Clock
from tailrace.stream.base import (
    Appended,
    Block,
    EpochSeal,
    LedgerCounts,
    ProducerStamp,
    ReadRequest,
    Resharded,
    ShardBatch,
    ShardEnd,
    Start,
    StartKind,
)
from tailrace.stream.checks import BatchCheck, line_numbers
from tailrace.stream.codec import dead_count
from tailrace.stream.hashing import hashed
from tailrace.stream.resharding import Reshard, closed_shard, no_shard, plan_merge, plan_split, resharded


@dataclass(slots=True)
class _ShardLog:
    """All that one shard holds. `blocks` are ascending; those before `earliest` have been dropped."""

    blocks: list[Block] = field(default_factory=list)
    seals: list[EpochSeal] = field(default_factory=list)
    seen: dict[ProducerStamp, set[int]] = field(default_factory=dict)
    places: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    parents: tuple[_ShardLog, ...] = ()
    next_offset: int = 0
    earliest: int = 0
    open_epoch: int = 1
    open_first: int = 0
    counts: LedgerCounts = field(default_factory=LedgerCounts)
    hash: RecordHash = NO_RECORDS
    closed: bool = False

    def known(self, stamp: ProducerStamp) -> set[int]:
        """Lines of that post which the shard has, or one that it descends from."""
        return set().union(*(log.seen.get(stamp, set()) for log in self.descent()))

    def place(self, identity: bytes) -> tuple[str, int] | None:
        """Where the shard, or one that it descends from, has the record of that identity."""
        return next((log.places[identity] for log in self.descent() if identity in log.places), None)

    def descent(self) -> Iterator[_ShardLog]:
        """The shard and all that it descends from."""
        todo, seen = [self], {id(self)}
        while todo:
            log = todo.pop()
            yield log
            todo += [parent for parent in log.parents if id(parent) not in seen]
            seen.update(map(id, log.parents))

    def size_from(self, offset: int) -> int:
        """Bytes of the blocks from `offset` on."""
        tables = (t for b in self.blocks if b.first_offset >= offset for t in (b.columns, b.raw) if t is not None)
        return sum(table.nbytes for table in tables)


class MemoryStream:
    """See StreamBackend. Each sealed epoch counts as a closed file, so `trim` drops by the epoch. Nothing is queued."""

    def __init__(self, fields: Fields, shards: int, clock: Clock) -> None:
        self._check = BatchCheck(fields.block_schema())
        self._clock = clock
        self._shards = even_shards(shards, clock.now_us() // 1_000_000)
        self._logs = {s.id: _ShardLog() for s in self._shards}
        self._lock = Lock()
        self._closed = False

    def shards(self) -> tuple[Shard, ...]:
        if self._closed:
            raise Unavailable("the stream is closed")
        return self._shards

    def append(self, batch: ShardBatch) -> Future[Appended]:
        self._check(batch)
        future: Future[Appended] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            log = self._log(batch.shard_id)
            if log.closed:
                future.set_exception(closed_shard(self._shards, batch.shard_id))
            else:
                future.set_result(_append(log, batch, self._clock.now_us()))
        return future

    def split(self, shard_id: str, at: int | None = None) -> Resharded:
        with self._lock:
            return self._reshard(plan_split(self._shards, shard_id, at, self._clock.now_us() // 1_000_000))

    def merge(self, shard_id: str, adjacent_id: str) -> Resharded:
        with self._lock:
            return self._reshard(plan_merge(self._shards, shard_id, adjacent_id, self._clock.now_us() // 1_000_000))

    def _reshard(self, reshard: Reshard) -> Resharded:
        parents = tuple(self._log(parent.id) for parent in reshard.parents)
        for parent, log in zip(reshard.parents, parents, strict=True):
            _seal(log, parent.id, self._clock.now_us())
            log.closed = True
        self._shards, done = resharded(self._shards, reshard, [log.open_epoch - 1 for log in parents])
        for child in done.children:
            self._logs[child.id] = _ShardLog(parents=parents, open_epoch=child.first_epoch)
        return done

    def read(self, request: ReadRequest) -> list[Block]:
        with self._lock:
            log = self._log(request.shard_id)
            _check_kept(log, request.shard_id, request.start_offset)
            index = bisect.bisect_left(log.blocks, request.start_offset, key=lambda b: b.last_offset)
            found = log.blocks[index : index + request.max_blocks]
        return _within(found, request)

    def end(self, shard_id: str) -> ShardEnd:
        with self._lock:
            log = self._log(shard_id)
            size = sum(
                b.columns.nbytes + b.raw.nbytes for b in log.blocks if b.columns is not None and b.raw is not None
            )
            return ShardEnd(log.next_offset, log.open_epoch, log.counts, log.earliest, size, log.hash)

    def seals(self, shard_id: str, after_epoch: int = 0) -> list[EpochSeal]:
        with self._lock:
            return [s for s in self._log(shard_id).seals if s.epoch > after_epoch]

    def seal(self, shard_id: str) -> EpochSeal | None:
        with self._lock:
            return _seal(self._log(shard_id), shard_id, self._clock.now_us())

    def offset_at(self, shard_id: str, start: Start) -> int:
        with self._lock:
            log = self._log(shard_id)
            match start.kind:
                case StartKind.TRIM_HORIZON:
                    return log.earliest
                case StartKind.LATEST:
                    return log.next_offset
                case StartKind.AT_TIMESTAMP:
                    return next((b.first_offset for b in log.blocks if b.arrived_at_us >= start.value), log.next_offset)
                case StartKind.AT_OFFSET | StartKind.AFTER_OFFSET:
                    offset = start.value + (start.kind is StartKind.AFTER_OFFSET)
                    if not 0 <= offset <= log.next_offset:
                        raise Invalid(f"offset `{start.value}` of shard `{shard_id}` has not been given")
                    _check_kept(log, shard_id, offset)
                    return offset

    def trim(self, shard_id: str, through_epoch: int, before_us: int, bytes_max: int | None = None) -> int:
        with self._lock:
            log = self._log(shard_id)
            dropped = 0
            while log.seals and log.seals[0].epoch <= through_epoch:
                too_large = bytes_max is not None and log.size_from(log.earliest) > bytes_max
                if log.seals[0].sealed_at_us >= before_us and not too_large:
                    break
                log.earliest = log.seals.pop(0).last_offset + 1
                dropped += 1
            log.blocks = [b for b in log.blocks if b.first_offset >= log.earliest]
            return dropped

    def close(self) -> None:
        self._closed = True

    def _log(self, shard_id: str) -> _ShardLog:
        if self._closed:
            raise Unavailable("the stream is closed")
        if shard_id not in self._logs:
            raise no_shard(self._shards, shard_id)
        return self._logs[shard_id]


def _seal(log: _ShardLog, shard_id: str, now_us: int) -> EpochSeal | None:
    if log.next_offset == log.open_first:
        return None
    sealed = EpochSeal(shard_id, log.open_epoch, log.open_first, log.next_offset - 1, now_us, log.counts, log.hash)
    log.seals.append(sealed)
    log.open_epoch, log.open_first = log.open_epoch + 1, log.next_offset
    log.counts, log.hash = LedgerCounts(), NO_RECORDS
    return sealed


def _append(log: _ShardLog, batch: ShardBatch, now_us: int) -> Appended:
    lines = line_numbers(batch)
    known = log.known(batch.producer) if batch.producer else set()
    fresh = np.array([line not in known for line in lines.tolist()], dtype=bool)
    repeats = _repeats(log, batch, lines)
    fresh &= np.array([line not in repeats for line in lines.tolist()], dtype=bool)
    columns, raw = batch.columns, batch.raw
    if not fresh.all():
        columns, raw = columns.filter(pa.array(fresh)), raw.filter(pa.array(fresh))
    count, dead, first = columns.num_rows, dead_count(columns), log.next_offset
    if count:
        log.blocks.append(Block(batch.shard_id, log.open_epoch, first, count, now_us, columns, raw))
        log.next_offset += count
        log.hash += hashed(columns).at(first)
    if batch.producer:
        log.seen.setdefault(batch.producer, set()).update(lines.tolist())
    counts = LedgerCounts(count - dead, dead, len(lines) - count)
    log.counts += counts
    return Appended(
        batch.shard_id,
        log.open_epoch,
        first,
        log.next_offset - 1,
        counts.stored,
        counts.dead_lettered,
        counts.deduplicated,
        frozenset(lines[~fresh].tolist()),
        repeats,
    )


def _repeats(log: _ShardLog, batch: ShardBatch, lines: Any) -> dict[int, tuple[str, int]]:
    """By line number where the first of its identity stands; notes where the new ones will."""
    found: dict[int, tuple[str, int]] = {}
    at = log.next_offset
    for line, identity in zip(lines.tolist(), [] if batch.ids is None else batch.ids.to_pylist(), strict=False):
        place = None if identity is None else log.place(identity)
        if place is not None:
            found[line] = place
            continue
        if identity is not None:
            log.places[identity] = (batch.shard_id, at)
        at += 1
    return found


def _check_kept(log: _ShardLog, shard_id: str, offset: int) -> None:
    if offset < log.earliest:
        raise Trimmed(shard_id, offset, log.earliest)


def _within(found: list[Block], request: ReadRequest) -> list[Block]:
    """`found` up to `max_bytes`, at least one, with the halves that were asked for."""
    blocks: list[Block] = []
    size = 0
    for b in found:
        assert b.columns is not None
        assert b.raw is not None
        size += b.columns.nbytes + b.raw.nbytes
        if blocks and size > request.max_bytes:
            break
        columns, raw = b.columns if request.with_columns else None, b.raw if request.with_raw else None
        blocks.append(Block(b.shard_id, b.epoch, b.first_offset, b.count, b.arrived_at_us, columns, raw))
    return blocks
