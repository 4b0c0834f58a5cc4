"""Splits and merges of shards, each in steps of which any process can do the rest when the one that began has died.

    1  `shards.json` gets the plan (`pending`): from here on it will be done
    2  the new shards' first files are made, which nobody knows yet
    3  each shard to close gets its end, in one transaction of its open file: its last epoch is sealed, and no file follows
    4  `shards.json` names the new shards, the old ones as closed

Appends are held up in step 3, and in step 2 only if the open epoch has changed meanwhile: then the files are made again, as they begin
with the epoch after the last one.

A writer that meets an end backs out, waits for step 4 (or does it), and its lines are divided anew. What deduplication knows is
not copied: a new shard looks in the files of those it descends from as well, as it does in closed files of its own.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tailrace.errors import TailraceError
from tailrace.model.fields import Fields
from tailrace.model.shard import Shard
from tailrace.runtime.clock import Clock
from tailrace.stream.backends.embedded.layout import create_shard
from tailrace.stream.backends.embedded.layout_file import Layout, LayoutFile
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.turn import OpenFile
from tailrace.stream.base import Resharded
from tailrace.stream.resharding import Reshard, plan_merge, plan_split, resharded

LOG = logging.getLogger(__name__)


class Resharding:
    """Of one stream, for one process. The layout's lock lets one process at a time do any of it."""

    def __init__(self, layout: LayoutFile, open_file: Callable[[str], OpenFile], fields: Fields, clock: Clock) -> None:
        """`open_file(shard_id)`: the shard's open file."""
        self._layout = layout
        self._open_file = open_file
        self._fields = fields
        self._clock = clock

    def split(self, shard_id: str, at: int | None) -> Resharded:
        """See StreamBackend.split."""
        return self._do(lambda shards: plan_split(shards, shard_id, at, self._now_s()))

    def merge(self, shard_id: str, adjacent_id: str) -> Resharded:
        """See StreamBackend.merge."""
        return self._do(lambda shards: plan_merge(shards, shard_id, adjacent_id, self._now_s()))

    def settle(self) -> None:
        """Return once nothing is pending: wait for the process that is at it, or do what a dead one has left."""
        with exclusive(self._layout.lock_path):
            self._settle_locked()

    def _settle_locked(self) -> Layout:
        layout = self._layout.current()
        if layout.pending is not None:
            self._finish(layout.shards, layout.pending)
        return self._layout.current()

    def _do(self, plan: Callable[[Sequence[Shard]], Reshard]) -> Resharded:
        with exclusive(self._layout.lock_path):
            before = self._settle_locked()
            reshard = plan(before.shards)
            self._layout.write(Layout(before.shards, reshard))
            try:
                return self._finish(before.shards, reshard)
            except (TailraceError, sqlite3.Error, OSError):
                self._withdraw(before, reshard)
                raise

    def _finish(self, shards: Sequence[Shard], reshard: Reshard) -> Resharded:
        """Steps 2 to 4, whichever of them have been done before."""
        parents = [self._open_file(p.id) for p in reshard.parents]
        self._make_children(shards, reshard, parents)
        with ExitStack() as locks:
            for parent in parents:
                locks.enter_context(exclusive(parent.lock_path))
            after, done = self._make_children(shards, reshard, parents)
            for parent in parents:
                parent.end_locked()
        self._layout.write(Layout(after))
        for parent in parents:
            parent.checkpoint()
        return done

    def _make_children(
        self, shards: Sequence[Shard], reshard: Reshard, parents: Sequence[OpenFile]
    ) -> tuple[tuple[Shard, ...], Resharded]:
        """All shards and what has changed, if the parents end now. What is there already costs nothing."""
        after, done = resharded(shards, reshard, [parent.last_epoch() for parent in parents])
        for child in done.children:
            create_shard(self._layout.path.parent, child, self._fields, self._clock)
        return after, done

    def _withdraw(self, before: Layout, reshard: Reshard) -> None:
        """Take the plan back, unless a shard has got its end already: then it is done as soon as the trouble is over."""
        try:
            if not any(self._open_file(p.id).ended for p in reshard.parents):
                self._layout.write(before)
        except (TailraceError, sqlite3.Error, OSError) as error:
            LOG.warning("a split or merge of %s stays begun: %s", reshard.parents[0].id, error)

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000
