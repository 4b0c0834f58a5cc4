"""The node's one writer of what queries see: follows the stream, the manifest and the wanted views, and publishes pins.

Runs in a thread of its own. Everything it publishes is immutable, so readers never wait for it nor it for them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from tailrace.errors import TailraceError, Unavailable
from tailrace.model.fields import Fields
from tailrace.runtime.clock import Clock
from tailrace.serving.catalog import Catalog
from tailrace.serving.pin import Pinned
from tailrace.serving.tail import TailBuffer
from tailrace.speed.base import MakeSpeed
from tailrace.speed.pace import pause_s
from tailrace.states.manifest import Manifest, ManifestStore, ViewStates
from tailrace.stream.base import StreamBackend
from tailrace.views import CompiledView, compiled_or_none

LOG = logging.getLogger(__name__)
LOOK_S = 0.2
"""How often the manifest and the views folder are looked at."""
WATCHED_S = 3.0
"""How long one look keeps the follower at its poll interval; without looks it polls less often."""
FRESH_WAIT_S = 5.0
"""A query that waited so long for the newest records goes without them; its `complete_through` says so."""


class Follower:
    """`pinned` is None until the states above the frontier have caught up with the stream once."""

    def __init__(
        self,
        stream: StreamBackend,
        store: ManifestStore,
        make_speed: MakeSpeed,
        views_dir: Path,
        fields: Fields,
        clock: Clock,
        poll_s: float,
    ) -> None:
        self.catalog = Catalog(views_dir, fields)
        self.tail = TailBuffer()
        self.pinned: Pinned | None = None
        self.problem: TailraceError | None = None
        self._stream = stream
        self._store = store
        self._fields = fields
        self._clock = clock
        self._poll_s = poll_s
        self._compiled: dict[str, CompiledView | None] = {}
        self._manifest: Manifest | None = None
        self._served: dict[str, CompiledView] = {}
        self._previous: dict[str, CompiledView] = {}
        self._drift_rows: dict[str, int] = {}
        self._published = threading.Condition()
        self._wake = threading.Event()
        self._running = False
        self._watched_until_s = float("-inf")
        self._step_s = 0.0
        self._alive_s = clock.monotonic_s()
        self._steps_begun = 0
        self._published_step = 0
        self._speed = make_speed(self._ready, self.tail.add)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. A failing step is shown in `problem`, logged, and tried again: nothing is skipped."""
        looked_s = float("-inf")
        self._running = True
        while not stop.is_set():
            started_s = self._alive_s = self._clock.monotonic_s()
            self._wake.clear()
            try:
                if started_s - looked_s >= LOOK_S:
                    looked_s = started_s
                    self.look()
                self.step()
                self.problem = None
            except TailraceError as error:
                self._fail(error)
                stop.wait(1.0)
            self._wake.wait(self._pause_s(started_s))
        self._running = False

    def _pause_s(self, started_s: float) -> float:
        """Until the next step, after one that began at `started_s`.

        The shorter of the last two steps sets the pace: one that closes an epoch takes long, and nobody should wait for that twice.
        """
        now_s = self._clock.monotonic_s()
        before_s, self._step_s = self._step_s, now_s - started_s
        behind = self._speed.snapshot().behind
        step_s = min(before_s, self._step_s)
        return pause_s(step_s, self._poll_s, behind=behind, watched=now_s < self._watched_until_s)

    def silent_s(self) -> float:
        """Seconds since the last step was begun. Safe from any thread."""
        return self._clock.monotonic_s() - self._alive_s

    def look(self) -> None:
        """Take over a new manifest and changed view files."""
        changed = self.catalog.look() or self._manifest is None
        if changed:
            self._store.want(self.catalog.state.wanted(), self._clock.now_us())
        known = self._manifest.generation if self._manifest else -1
        if self._store.generation() != known:
            self._manifest = self._store.current()
            self._served = self._as_served(self._manifest.views)
            self._previous = self._as_served(self._manifest.previous)
            self._drift_rows = self._store.drift_rows()
            changed = True
        if changed:
            assert self._manifest is not None
            standing = (*self._served.values(), *self._previous.values(), *self.catalog.state.views.values())
            self._speed.follow({v.version: v for v in standing}.values(), self._manifest.frontier)
            self._pin()

    def watch(self) -> None:
        """Somebody looks: what arrives in the next seconds is read within the poll interval. Safe from any thread."""
        now_s = self._clock.monotonic_s()
        watched, self._watched_until_s = now_s < self._watched_until_s, now_s + WATCHED_S
        if not watched:
            self._wake.set()

    def fresh(self, name: str, *, exact: bool = True) -> Pinned:
        """A pin in which the view `name` holds every record acknowledged before the call; safe from any thread.

        It wakes the follower and waits for it, at most FRESH_WAIT_S: then without what is missing, as `complete_through` says.
        Not `exact`: for those who ask again and again; only the first look waits, the others take what the last step found.
        Raises NotFound or Unavailable as `Pinned.view` does.
        """
        version = self._pin_now().view(name)[0].version
        self.watch()
        watched = self._speed.demand(version)
        ends = {shard.id: self._stream.end(shard.id).next_offset for shard in self._stream.shards()} if exact else {}
        if not self._running:
            self._step_until(version, ends)
        elif not self._holds(version, ends) or (not exact and not watched):
            following = self._steps_begun + 1
            self._wake.set()
            with self._published:
                self._published.wait_for(
                    lambda: (exact or self._published_step >= following) and self._holds(version, ends), FRESH_WAIT_S
                )
        return self._pin_now()

    def _holds(self, version: str, ends: Mapping[str, int]) -> bool:
        """Whether the newest states have every record before `ends`, and none that was read waits.

        A shard that they do not know yet is new: nothing of it is in them. A version that is gone, or that batch alone answers for,
        has nothing to wait for.
        """
        found = self._pin_now().speed.versions.get(version)
        if found is None:
            return True
        if found.batch_only:
            return True
        return not found.waiting and all(found.next_offsets.get(shard, 0) >= end for shard, end in ends.items())

    def _step_until(self, version: str, ends: Mapping[str, int]) -> None:
        self.step()
        while not self._holds(version, ends):
            self.step()

    def _pin_now(self) -> Pinned:
        if self.pinned is None:
            raise Unavailable("the node reads what came in while it was away", hint="ask again in a second")
        return self.pinned

    def step(self) -> int:
        """Read what is new in the stream and publish; returns the lines read."""
        self._steps_begun += 1
        try:
            return self._speed.step()
        finally:
            self._pin()

    def _pin(self) -> None:
        snapshot = self._speed.snapshot()
        if self._manifest is None or (self.pinned is None and not snapshot.versions):
            return
        with self._published:
            self.pinned = Pinned(
                self._manifest, snapshot, self._stream.shards(), self._served, self._drift_rows, self._previous
            )
            self._published_step = self._steps_begun
            self._published.notify_all()

    def _ready(self, view: CompiledView) -> None:
        self._store.mark_speed_ready(view.name, view.version)

    def _as_served(self, views: Mapping[str, ViewStates]) -> dict[str, CompiledView]:
        """The views of a manifest, less those that mean something else under the fields of now: their next version is being built."""
        compiled = {name: self._compile(states.sql) for name, states in views.items()}
        return {n: v for n, v in compiled.items() if v is not None and v.version == views[n].version}

    def _compile(self, sql: str) -> CompiledView | None:
        """None if it names a field that is gone."""
        if sql not in self._compiled:
            self._compiled[sql] = compiled_or_none(sql, self._fields)
        return self._compiled[sql]

    def _fail(self, error: TailraceError) -> None:
        if self.problem is None or self.problem.message != error.message:
            LOG.error("the speed layer stands still: %s (%s)", error.message, error.hint)
        self.problem = error
