"""What one query stands on: a manifest and the speed states above its frontier, taken together.

Made by the node's speed thread after each change, as one immutable value; a query takes the newest and keeps it, so that batch may
move the frontier under it without a record being seen twice or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailrace.errors import NotFound, Unavailable
from tailrace.model.position import position_json, position_token
from tailrace.model.shard import Shard
from tailrace.speed.base import SpeedSnapshot
from tailrace.states.manifest import Manifest, ViewStates
from tailrace.views import CompiledView


@dataclass(frozen=True, slots=True)
class Pinned:
    """`views`: compiled form of the versions that the manifest serves, by name; `previous`: of those that they replaced."""

    manifest: Manifest
    speed: SpeedSnapshot
    shards: tuple[Shard, ...]
    views: Mapping[str, CompiledView] = field(default_factory=dict)
    drift_rows: Mapping[str, int] = field(default_factory=dict)
    previous: Mapping[str, CompiledView] = field(default_factory=dict)

    def view(self, name: str) -> tuple[CompiledView, ViewStates]:
        """Raises NotFound, or Unavailable while the node still reads what came in while it was away."""
        view = self.views.get(name)
        if view is None:
            known = ", ".join(sorted(self.views)) or "none yet"
            raise NotFound(f"there is no view `{name}`", hint=f"views served now: {known}")
        self._caught_up(view)
        return view, self.manifest.views[name]

    def before(self, name: str) -> tuple[CompiledView, ViewStates]:
        """The version that the view had before. Raises as `view`."""
        view = self.previous.get(name)
        if view is None:
            self.view(name)
            raise NotFound(
                f"view `{name}` has no version before this one",
                hint="a version is kept for a day after another took its place",
            )
        self._caught_up(view)
        return view, self.manifest.previous[name]

    def _caught_up(self, view: CompiledView) -> None:
        if view.version not in self.speed.versions:
            raise Unavailable(
                f"view `{view.name}` is catching up with the stream", retry_after_s=1, hint="ask again in a second"
            )

    def position(self, version: str) -> dict[str, str | None]:
        """Shard -> sequence number of its last line in an answer of this version; None where there is none yet."""
        return position_json(self.shards, self.speed.of(version).next_offsets)

    def position_token(self, version: str) -> str:
        """The same in one word, for `at=`."""
        return position_token(self.shards, self.speed.of(version).next_offsets)

    def absent_records(self, name: str) -> int:
        """Records of before the view was built, which the lake had let go by then."""
        states = self.manifest.views.get(name)
        return sum(states.absent.values()) if states else 0

    def frontier(self) -> dict[str, int]:
        """Shard -> last epoch that batch covers; 0 if it covers none."""
        return {s.id: self.manifest.frontier.get(s.id, 0) for s in self.shards}

    def covered(self, shard: Shard) -> int:
        """As the frontier, but of a shard that batch has nothing of, the epoch before its first."""
        return max(self.manifest.frontier.get(shard.id, 0), shard.first_epoch - 1)
