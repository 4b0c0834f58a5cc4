"""What the HTTP surface needs of the node, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tailrace.config.settings import Settings
from tailrace.dashboard.boards.annotations import Annotations
from tailrace.dashboard.boards.history import History
from tailrace.dashboard.boards.store import DashboardStore
from tailrace.errors import Unavailable
from tailrace.runtime.clock import Clock
from tailrace.serving.dead_letters import DeadLetters, Newest
from tailrace.serving.follower import Follower
from tailrace.serving.merge import Merger
from tailrace.serving.pin import Pinned
from tailrace.serving.redrive import Redriver
from tailrace.serving.subscribe import LiveResults
from tailrace.states.manifest import ManifestStore
from tailrace.states.pins import PinStore
from tailrace.stream.base import StreamBackend
from tailrace.telemetry.registry import Registry


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    role: str
    pid: int


class AlertsDoor(Protocol):
    """Alerts as JSON-ready values; any thread may call. Each raises what the HTTP answer says: Invalid, NotFound, Conflict, Unavailable."""

    def alerts(self) -> dict[str, Any]: ...
    def lines(self, fingerprint: str) -> dict[str, Any]: ...
    def rules(self) -> dict[str, Any]: ...
    def rule(self, name: str) -> dict[str, Any]: ...
    def put(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def delete(self, name: str) -> dict[str, Any]: ...
    def preview(
        self, name: str, given: Mapping[str, Any] | None, from_us: int | None, to_us: int | None
    ) -> dict[str, Any]: ...
    def history(self, from_us: int | None, to_us: int | None, rule: str | None, limit: int) -> dict[str, Any]: ...
    def test_channel(self, name: str) -> dict[str, Any]: ...
    def silences(self) -> dict[str, Any]: ...
    def add_silence(
        self, matchers: list[str], from_us: int | None, to_us: int, comment: str, created_by: str
    ) -> dict[str, Any]: ...
    def remove_silence(self, silence_id: str) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class NodeServices:
    """`query_socket`: unix socket of the process that runs users' SQL. `processes`: those of this installation, now.
    `metrics`: of the node's own doing.
    """

    stream: StreamBackend
    follower: Follower
    merger: Merger
    live: LiveResults
    dead_letters: DeadLetters
    newest_letters: Newest
    redriver: Redriver
    store: ManifestStore
    pins: PinStore
    dashboards: DashboardStore
    board_history: History
    alerts: AlertsDoor
    annotations: Annotations
    metrics: Registry
    settings: Settings
    clock: Clock
    query_socket: Path
    started_us: int
    processes: Callable[[], list[ProcessInfo]]

    def fresh(self, view: str, *, exact: bool = True) -> Pinned:
        """As `Follower.fresh`; may wait, so call it in a thread."""
        return self.follower.fresh(view, exact=exact)

    def pinned(self) -> Pinned:
        """Raises Unavailable until the node has caught up once."""
        pinned = self.follower.pinned
        if pinned is None:
            raise Unavailable(
                "the node is reading what came in while it was away", retry_after_s=1, hint="ask again in a second"
            )
        return pinned
