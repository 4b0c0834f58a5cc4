"""Moves sealed epochs from the stream into the lake, each record once. Runs in the batch process, about every ten seconds.

What to move is planned from values alone (`plan`); moving it (`consume`) checks on the way that no offset is missing and that each
epoch holds as many records as its seal says. A run is one lake commit: rows and the new marks together, so that a crash at any
point repeats it or has done it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa

from tailrace.batch.base import LakeMark, LakeSnapshot, Stage, StagedFile, WritableLake
from tailrace.errors import Conflict, Corrupt, GapFound, Invalid
from tailrace.model.fields import TIMESTAMP_TYPE, VERDICT
from tailrace.stream.base import Block, EpochSeal, ReadRequest, StreamBackend
from tailrace.stream.codec import verdicts

LINES_PER_RUN_MAX = 3_000_000
_READ_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class ShardWork:
    """Epochs of one shard to move, ascending; their offsets follow each other without a hole."""

    shard_id: str
    seals: tuple[EpochSeal, ...]

    @property
    def mark(self) -> LakeMark:
        """The lake's mark once this is done."""
        return LakeMark(self.seals[-1].epoch, self.seals[-1].last_offset)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: at most one `ShardWork` a shard. `waiting`: sealed lines that are left for the next run."""

    work: tuple[ShardWork, ...]
    lines: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a run did. `rows`: records stored; `lines`: those and the dead letters. `waiting` as in the plan."""

    snapshot: LakeSnapshot
    lines: int
    rows: int
    waiting: int


def plan(
    seals: Mapping[str, Sequence[EpochSeal]], marks: Mapping[str, LakeMark], lines_max: int = LINES_PER_RUN_MAX
) -> Plan:
    """Which sealed epochs after `marks` to move, oldest first over all shards, `lines_max` lines at most but one epoch at least.

    Raises GapFound if a shard's epochs do not follow its mark, or each other, offset by offset.
    """
    queues = {shard: _after(shard, listed, marks.get(shard, LakeMark())) for shard, listed in seals.items()}
    taken: dict[str, list[EpochSeal]] = {}
    lines = 0
    for seal in _oldest_first(queues):
        count = _lines(seal)
        if lines and lines + count > lines_max:
            break
        taken.setdefault(seal.shard_id, []).append(seal)
        lines += count
    total = sum(_lines(seal) for queue in queues.values() for seal in queue)
    return Plan(tuple(ShardWork(shard, tuple(taken[shard])) for shard in sorted(taken)), lines, total - lines)


def _after(shard: str, seals: Sequence[EpochSeal], mark: LakeMark) -> list[EpochSeal]:
    fresh = [seal for seal in seals if seal.epoch > mark.epoch]
    expected = mark.last_offset + 1
    for seal in fresh:
        if seal.first_offset > expected:
            raise GapFound(shard, expected, seal.first_offset - 1)
        if seal.first_offset < expected:
            raise Corrupt(shard, f"epoch `{seal.epoch}` begins at offset `{seal.first_offset}`, expected `{expected}`")
        expected = seal.last_offset + 1
    return fresh


def _oldest_first(queues: Mapping[str, Sequence[EpochSeal]]) -> Iterator[EpochSeal]:
    """All seals by the time they were sealed, but never out of order within a shard, whatever the clock did."""
    timed = [zip(accumulate((s.sealed_at_us for s in queue), max), queue, strict=True) for queue in queues.values()]
    return (seal for _, seal in heapq.merge(*timed, key=lambda pair: pair[0]))


def _lines(seal: EpochSeal) -> int:
    return seal.last_offset - seal.first_offset + 1


def consume(stream: StreamBackend, lake: WritableLake, lines_max: int = LINES_PER_RUN_MAX) -> Consumed | None:
    """Plan a run and do it; None if nothing is sealed that the lake has not. Call again at once while `waiting` is not 0.

    Raises GapFound or Corrupt if the stream does not hold what its seals say, Conflict or Fenced as `append` does: then the lake
    is as it was.
    """
    marks = lake.position()
    shards = stream.shards()
    done = {s.id: max(marks.get(s.id, LakeMark()).epoch, s.first_epoch - 1) for s in shards}
    seals = {s.id: stream.seals(s.id, done[s.id]) for s in shards if not s.ends_at(done[s.id])}
    todo = plan(seals, marks, lines_max)
    if not todo.work:
        return None
    staged: list[StagedFile] = []
    try:
        for work in todo.work:
            file = copy_shard(stream, lake, work)
            if file is not None:
                staged.append(file)
    except BaseException:
        remove_staged(staged)
        raise
    try:
        snapshot = lake.append(staged, {work.shard_id: work.mark for work in todo.work})
    except (Conflict, Invalid):
        remove_staged(staged)
        raise
    # Any other error leaves open whether the commit has landed, so the files stay; if it has not, the next open removes them.
    return Consumed(snapshot, todo.lines, sum(f.rows for f in staged), todo.waiting)


def remove_staged(staged: Sequence[StagedFile]) -> None:
    """Files that no snapshot names and none is going to."""
    for file in staged:
        file.path.unlink(missing_ok=True)


def copy_shard(stream: StreamBackend, lake: WritableLake, work: ShardWork) -> StagedFile | None:
    """Write the good records of `work` to one staged file; None if all its lines are dead letters."""
    stage = lake.stage(work.shard_id, work.seals[0].epoch, work.seals[-1].epoch)
    try:
        blocks = _blocks(stream, work)
        for seal in work.seals:
            _copy_epoch(blocks, seal, stage)
        return stage.finish()
    except BaseException:
        stage.discard()
        raise


def _blocks(stream: StreamBackend, work: ShardWork) -> Iterator[Block]:
    """The blocks of `work`, in order. Raises GapFound where one is missing."""
    expected, last = work.seals[0].first_offset, work.seals[-1].last_offset
    while expected <= last:
        page = stream.read(ReadRequest(work.shard_id, expected, max_bytes=_READ_BYTES_MAX))
        if not page:
            raise GapFound(work.shard_id, expected, last)
        for block in page:
            if block.first_offset > expected:
                raise GapFound(work.shard_id, expected, block.first_offset - 1)
            if block.first_offset < expected:
                raise Corrupt(work.shard_id, f"a block begins at offset `{block.first_offset}`, expected `{expected}`")
            if block.first_offset > last:
                return
            yield block
            expected = block.last_offset + 1


def _copy_epoch(blocks: Iterator[Block], seal: EpochSeal, stage: Stage) -> None:
    """Raises Corrupt unless the epoch's blocks hold exactly the lines, the records and the dead letters of its seal."""
    expected, stored = seal.first_offset, 0
    while expected <= seal.last_offset:
        block = next(blocks)
        if block.epoch != seal.epoch or block.last_offset > seal.last_offset:
            raise Corrupt(
                seal.shard_id,
                f"offsets `{block.first_offset}` to `{block.last_offset}` say epoch `{block.epoch}`,"
                f" and epoch `{seal.epoch}` is sealed at `{seal.last_offset}`",
            )
        rows = lake_rows(block)
        stored += rows.num_rows
        stage.write(rows)
        expected = block.last_offset + 1
    dead = seal.last_offset - seal.first_offset + 1 - stored
    if (stored, dead) != (seal.counts.stored, seal.counts.dead_lettered):
        raise Corrupt(
            seal.shard_id,
            f"epoch `{seal.epoch}` holds `{stored}` records and `{dead}` dead letters,"
            f" and was sealed with `{seal.counts.stored}` and `{seal.counts.dead_lettered}`",
        )


def lake_rows(block: Block) -> pa.Table:
    """The good records of a block, with `LAKE_COLUMNS`; text stays dictionary-encoded where it is."""
    if block.columns is None:
        raise ValueError("the block was read without its columns")
    good = np.concatenate([np.empty(0, bool), *(chunk == 0 for chunk in verdicts(block.columns))])
    rows = block.columns.drop_columns([VERDICT])
    offsets = np.arange(block.first_offset, block.first_offset + block.count)
    if not good.all():
        rows, offsets = rows.filter(pa.array(good)), offsets[good]
    shard = pa.DictionaryArray.from_arrays(np.zeros(len(offsets), np.int32), pa.array([block.shard_id]))
    arrived = pa.array(np.full(len(offsets), block.arrived_at_us)).cast(TIMESTAMP_TYPE)
    for name, values in (
        ("_shard", shard),
        ("_offset", pa.array(offsets)),
        ("_epoch", pa.array(np.full(len(offsets), block.epoch))),
        ("_arrived_at", arrived),
    ):
        rows = rows.append_column(name, values)
    return rows
