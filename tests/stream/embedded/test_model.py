"""The embedded stream against a model of a few lists, over random sequences of everything one can do to it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailrace.errors import Trimmed
from tailrace.stream.backends.embedded import EmbeddedStream
from tailrace.stream.base import LedgerCounts, ProducerStamp, ReadRequest, Start, StartKind
from tailrace.testing.contracts.stream_harness import HOUR_S, durable
from tailrace.testing.contracts.stream_samples import read_blocks, read_lines, sample_batch, sample_raw
from tests.stream.harness import EmbeddedHarness

SHARDS = 2
REMEMBERED_S = 23 * HOUR_S
"""So far the clock may get, steps back counted as well, and all posts are within the horizon of a day."""


@dataclass
class ShardModel:
    """Lines by offset, and what is known beside them."""

    lines: list[tuple[int, int, bool]] = field(default_factory=list)
    """(epoch, line's number, dead)"""
    epoch: int = 1
    open_first: int = 0
    earliest: int = 0
    counts: LedgerCounts = field(default_factory=LedgerCounts)
    seals: list[tuple[int, int, int, LedgerCounts]] = field(default_factory=list)
    posts: dict[ProducerStamp, dict[int, int]] = field(default_factory=dict)
    """Stamp -> line of the post -> offset."""


class StreamMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stream-model-"))
        self.harness = EmbeddedHarness(self.folder)
        self.models = [ShardModel() for _ in range(SHARDS)]
        self.handles: list[EmbeddedStream] = []
        self.next_number = 0
        self.turns = 0
        self.far_s = 0

    @initialize()
    def begin(self) -> None:
        self.handles = [self.harness.open(), self.harness.open()]
        self.ids = [s.id for s in self.handles[0].shards()]

    def teardown(self) -> None:
        for handle in self.handles:
            handle.close()
        shutil.rmtree(self.folder)

    # ---- What can be done --------------------------------------------------------------------------------------------

    @rule(
        shard=st.integers(0, 1),
        handle=st.integers(0, 1),
        count=st.sampled_from([0, 1, 2, 9, 1100]),
        dead=st.sets(st.integers(0, 8)),
    )
    def append(self, shard: int, handle: int, count: int, dead: set[int]) -> None:
        numbers = range(self.next_number, self.next_number + count)
        self.next_number += count
        dead_numbers = {numbers[0] + d for d in dead if d < count}
        appended = durable(self.handles[handle].append(sample_batch(self.ids[shard], numbers, dead=dead_numbers)))
        model = self.models[shard]
        assert (appended.first_offset, appended.last_offset) == (len(model.lines), len(model.lines) + count - 1)
        self._store(model, [(n, n in dead_numbers) for n in numbers])

    @rule(
        shard=st.integers(0, 1),
        handle=st.integers(0, 1),
        stamp=st.builds(ProducerStamp, st.sampled_from(["p", "q"]), st.integers(0, 1), st.integers(0, 3)),
        lines=st.sets(st.integers(0, 12), min_size=1),
    )
    def append_stamped(self, shard: int, handle: int, stamp: ProducerStamp, lines: set[int]) -> None:
        """Posts with few stamps, so that most are retries, of which some bring lines that the first had not."""
        model = self.models[shard]
        known = model.posts.setdefault(stamp, {})
        if self.far_s > REMEMBERED_S and any(offset < model.earliest for offset in known.values()):
            return  # whether trimmed lines are still known beyond the horizon is left open
        ordered = sorted(lines)
        base = 1_000_000 + 1000 * (stamp.n + 10 * stamp.epoch + 100 * (stamp.id == "q"))
        batch = sample_batch(self.ids[shard], [base + line for line in ordered], producer=stamp, lines=ordered)
        appended = durable(self.handles[handle].append(batch))
        fresh = [line for line in ordered if line not in known]
        assert appended.duplicate_lines == set(ordered) - set(fresh)
        assert (appended.stored, appended.deduplicated) == (len(fresh), len(ordered) - len(fresh))
        assert appended.epoch == model.epoch
        known.update({line: len(model.lines) + i for i, line in enumerate(fresh)})
        model.counts += LedgerCounts(deduplicated=len(ordered) - len(fresh))
        self._store(model, [(base + line, False) for line in fresh])

    def _store(self, model: ShardModel, lines: list[tuple[int, bool]]) -> None:
        dead = sum(d for _, d in lines)
        model.lines += [(model.epoch, n, d) for n, d in lines]
        model.counts += LedgerCounts(stored=len(lines) - dead, dead_lettered=dead)

    @rule(shard=st.integers(0, 1), handle=st.integers(0, 1))
    def seal(self, shard: int, handle: int) -> None:
        model = self.models[shard]
        sealed = self.handles[handle].seal(self.ids[shard])
        if len(model.lines) == model.open_first:
            assert sealed is None
            return
        assert sealed is not None
        expected = (model.epoch, model.open_first, len(model.lines) - 1, model.counts)
        assert (sealed.epoch, sealed.first_offset, sealed.last_offset, sealed.counts) == expected
        model.seals.append(expected)
        model.epoch, model.open_first, model.counts = model.epoch + 1, len(model.lines), LedgerCounts()

    @precondition(lambda self: self.turns < 20)
    @rule(shard=st.integers(0, 1), handle=st.integers(0, 1))
    def turn(self, shard: int, handle: int) -> None:
        self.turns += 1
        self.far_s += HOUR_S
        self.harness.clock.advance(HOUR_S)
        self.seal(shard, handle)

    @rule(hours=st.integers(-3, 3), seconds=st.integers(0, 30))
    def step_the_clock(self, hours: int, seconds: int) -> None:
        self.far_s += abs(hours) * HOUR_S + seconds
        self.harness.clock.step(hours * HOUR_S)
        self.harness.clock.advance(seconds)

    @rule(handle=st.integers(0, 1))
    def reopen(self, handle: int) -> None:
        self.handles[handle].close()
        self.handles[handle] = self.harness.open()

    @rule(shard=st.integers(0, 1), handle=st.integers(0, 1), back=st.integers(0, 3))
    def trim(self, shard: int, handle: int, back: int) -> None:
        model, stream = self.models[shard], self.handles[handle]
        through = model.epoch - 1 - back
        files = len(list((self.harness.folder / self.ids[shard]).glob("????????.db")))
        dropped = stream.trim(self.ids[shard], through, 1 << 62)
        earliest = stream.end(self.ids[shard]).earliest_offset
        assert (dropped > 0) == (earliest > model.earliest)
        assert len(list((self.harness.folder / self.ids[shard]).glob("????????.db"))) == files - dropped
        assert all(epoch <= through for epoch, _, _ in model.lines[model.earliest : earliest])
        assert earliest in {0, *(last + 1 for _, _, last, _ in model.seals)}
        model.earliest = earliest

    # ---- What must be true after each ----------------------------------------------------------------------------------

    @invariant()
    def ends_and_seals_agree(self) -> None:
        for stream in self.handles:
            for shard_id, model in zip(self.ids, self.models, strict=True):
                end = stream.end(shard_id)
                assert (end.next_offset, end.open_epoch, end.open_counts) == (
                    len(model.lines),
                    model.epoch,
                    model.counts,
                )
                assert end.earliest_offset == model.earliest
                kept = [s for s in model.seals if s[2] >= model.earliest]
                seals = [(s.epoch, s.first_offset, s.last_offset, s.counts) for s in stream.seals(shard_id)]
                assert seals == kept
                assert stream.offset_at(shard_id, Start(StartKind.TRIM_HORIZON)) == model.earliest
                assert stream.offset_at(shard_id, Start(StartKind.LATEST)) == len(model.lines)

    @rule(shard=st.integers(0, 1), handle=st.integers(0, 1), share=st.floats(0, 1))
    def read(self, shard: int, handle: int, share: float) -> None:
        model, stream, shard_id = self.models[shard], self.handles[handle], self.ids[shard]
        start = round(share * len(model.lines))
        if start < model.earliest:
            with pytest.raises(Trimmed):
                stream.read(ReadRequest(shard_id, start))
            return
        lines = read_lines(stream, shard_id, start)
        if start == len(model.lines):
            assert lines == []
            return
        first = lines[0].offset
        assert first <= start
        assert [line.offset for line in lines] == list(range(first, len(model.lines)))
        read = [(line.epoch, line.raw, line.row["verdict"] != 0, line.reason is not None) for line in lines]
        assert read == [(epoch, sample_raw(n), dead, dead) for epoch, n, dead in model.lines[first:]]
        assert stream.offset_at(shard_id, Start(StartKind.AT_OFFSET, start)) == start

    @rule(shard=st.integers(0, 1), handle=st.integers(0, 1), pick=st.floats(0, 1), after=st.integers(0, 1))
    def start_at_a_time(self, shard: int, handle: int, pick: float, after: int) -> None:
        stream, shard_id, model = self.handles[handle], self.ids[shard], self.models[shard]
        blocks = read_blocks(stream, shard_id, model.earliest, max_blocks=50)
        if not blocks:
            return
        at = blocks[round(pick * (len(blocks) - 1))].arrived_at_us + after
        expected = next((b.first_offset for b in blocks if b.arrived_at_us >= at), len(model.lines))
        assert stream.offset_at(shard_id, Start(StartKind.AT_TIMESTAMP, at)) == expected


TestModel = StreamMachine.TestCase
TestModel.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
