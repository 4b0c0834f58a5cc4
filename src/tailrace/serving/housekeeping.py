"""What keeps a node the same size after a year: lake files merged and let go, dead letters out of the stream, the stream trimmed.

Runs in the batch process after each cycle. Every step may be killed and is done again; none of them holds up another for long, and
a step that fails is told and does not keep the others from their work.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from tailrace.batch.base import WritableLake
from tailrace.batch.compaction import CompactionPolicy, arrival_span_us, compact
from tailrace.batch.dead_letters import DeadLetterStore, LetterMark, copy_dead_letters
from tailrace.batch.retention import retain
from tailrace.config.settings import RetentionSettings
from tailrace.errors import Fenced, TailraceError
from tailrace.runtime.clock import Clock
from tailrace.states.manifest import ManifestStore
from tailrace.stream.base import StreamBackend

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """`run` is called again and again by one thread."""

    stream: StreamBackend
    lake: WritableLake
    store: ManifestStore
    letters: DeadLetterStore
    retention: RetentionSettings
    dedupe_horizon_s: int
    clock: Clock
    stream_age_s: Callable[[], int | None] = lambda: None
    """What the Kinesis API has set instead of `retention.stream_age_s`, if anything."""

    def run(self) -> None:
        """All steps. One that fails is logged. Raises Fenced if another batch process has taken over."""
        for step in self.steps():
            _attempt(step)

    def steps(self) -> list[Callable[[], object]]:
        """What there is to do now, in order."""
        covered = {shard: book.epoch for shard, book in self.store.current().books.items()}
        return [
            lambda: self._keep_letters(covered),
            self._drop_letters,
            lambda: self._trim(covered),
            lambda: self._retain_lake(covered),
            self._compact_lake,
            self.lake.clean,
        ]

    def _keep_letters(self, covered: Mapping[str, int]) -> None:
        copied = copy_dead_letters(self.stream, self.letters, covered)
        if copied:
            LOG.info("%d dead letters are kept beside the stream", copied)

    def _drop_letters(self) -> None:
        age_s = self.retention.dead_letters_age_s
        gone = self.letters.retain(self._before_us(age_s), self.retention.dead_letters_bytes_max)
        if gone:
            LOG.info("%d dead letters were let go: too old, or too many", gone)

    def _trim(self, covered: Mapping[str, int]) -> None:
        """Each shard gets its share of the bytes. Nothing goes that batch has not covered, or whose dead letters are not kept."""
        marks = self.letters.marks()
        shards = self.stream.shards()
        sizes = {shard.id: self.stream.end(shard.id).bytes for shard in shards}
        total, most = sum(sizes.values()), self.retention.stream_bytes_max
        # By age, no line goes by which retries are still recognised; by size it may, and the stream remembers them without the lines.
        set_by_api = self.stream_age_s()
        age_s = self.retention.stream_age_s if set_by_api is None else set_by_api
        before_us = self._before_us(max(age_s, self.dedupe_horizon_s)) if age_s else 0
        for shard in shards:
            through = min(covered.get(shard.id, 0), marks.get(shard.index, LetterMark()).epoch)
            share = sizes[shard.id] * most // total if most and total > most else None
            _attempt(partial(self._trim_shard, shard.id, through, before_us, share))

    def _trim_shard(self, shard_id: str, through: int, before_us: int, bytes_max: int | None) -> None:
        dropped = self.stream.trim(shard_id, through, before_us, bytes_max) if through else 0
        if dropped:
            LOG.info("%s lets %d files go; epochs up to %d are in the lake", shard_id, dropped, through)

    def _retain_lake(self, covered: Mapping[str, int]) -> None:
        before_us = self._before_us(self.retention.lake_age_s)
        gone = retain(self.lake, covered, before_us, self.retention.lake_bytes_max)
        if gone is not None:
            LOG.info("the lake lets %d files with %d records go", gone.files, gone.rows)

    def _compact_lake(self) -> None:
        span_us = arrival_span_us(self.retention.lake_age_s * 1_000_000)
        merged = compact(self.lake, CompactionPolicy(arrival_span_us=span_us))
        if merged is not None:
            LOG.debug("%d lake files became %d", merged.files, merged.merged)

    def _before_us(self, age_s: int) -> int:
        return self.clock.now_us() - age_s * 1_000_000 if age_s else 0


def _attempt(step: Callable[[], object]) -> None:
    try:
        step()
    except Fenced:
        raise
    except (TailraceError, OSError, sqlite3.Error) as error:
        LOG.error("housekeeping stands still: %s", error)
