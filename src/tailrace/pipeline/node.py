"""The node process: speed layer, serving, web, sealer. Listens on a unix socket that the ingest processes pass requests on to."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.alerts.lines import Lines
from tailrace.alerts.service import Alerts, make_alerts
from tailrace.alerts.sources import Sources
from tailrace.batch.dead_letters import DeadLetterStore
from tailrace.config.listen import url_of
from tailrace.config.settings import Settings
from tailrace.dashboard.api import create_app
from tailrace.dashboard.boards.annotations import Annotations
from tailrace.dashboard.boards.database import Database
from tailrace.dashboard.boards.history import History
from tailrace.dashboard.boards.store import DashboardStore
from tailrace.dashboard.services import NodeServices, ProcessInfo
from tailrace.pipeline.patience import patiently
from tailrace.pipeline.role import RoleArguments
from tailrace.pipeline.run_file import read_run_file
from tailrace.pipeline.sealer import run_sealer
from tailrace.pipeline.sockets import NODE as NODE_SOCKET
from tailrace.pipeline.sockets import QUERY as QUERY_SOCKET
from tailrace.pipeline.sockets import socket_path
from tailrace.pipeline.web import serve
from tailrace.runtime.clock import Clock, SystemClock
from tailrace.serving.dead_letters import DeadLetters, Newest
from tailrace.serving.follower import Follower
from tailrace.serving.merge import Merger
from tailrace.serving.redrive import Redriver
from tailrace.serving.subscribe import LiveResults
from tailrace.speed.backends.embedded import EmbeddedSpeed
from tailrace.speed.base import MakeSpeed
from tailrace.states.manifest import ManifestStore
from tailrace.states.pins import PinStore
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.telemetry.registry import Registry

DEAD_LETTERS_SHOWN = 20
"""On the pipeline's page."""


def run(arguments: RoleArguments) -> None:
    settings, lifeline = arguments.settings, arguments.lifeline
    clock = SystemClock()
    stream = patiently(
        lambda: open_embedded(settings.stream_dir, settings.stream, settings.fields, clock), lifeline.stop
    )
    if stream is None:
        return
    store = patiently(lambda: ManifestStore(settings.manifest_path), lifeline.stop)
    letters = patiently(lambda: DeadLetterStore(settings.dead_letters_path), lifeline.stop)
    if store is None or letters is None:
        return
    services, alerts = _services(settings, stream, store, letters, clock)
    threads = [
        lifeline.thread("follower", lambda: services.follower.run(lifeline.stop)),
        lifeline.thread("alerts", lambda: alerts.engine.run(lifeline.stop)),
        lifeline.thread("notifier", lambda: alerts.notifier.run(lifeline.stop)),
        lifeline.thread("sealer", lambda: run_sealer(stream, settings.stream.seal_interval_ms / 1000, lifeline.stop)),
    ]
    serve(create_app(services), socket_path(settings.run_dir, NODE_SOCKET), lifeline.stop, lifeline.ready)
    for thread in threads:
        thread.join()
    stream.close()


def _services(
    settings: Settings, stream: EmbeddedStream, store: ManifestStore, kept: DeadLetterStore, clock: Clock
) -> tuple[NodeServices, Alerts]:
    merger = Merger(settings.states_dir)
    follower = Follower(
        stream,
        store,
        _speed(settings, stream, clock),
        settings.views_dir,
        settings.fields,
        clock,
        settings.speed.poll_ms / 1000,
    )
    letters = DeadLetters(stream, kept)
    redriver = Redriver(stream, kept, settings, clock)
    boards = Database(settings.boards_path)
    history = History(boards)
    alerts = _alerts(settings, stream, follower, merger, clock)
    services = NodeServices(
        stream=stream,
        follower=follower,
        merger=merger,
        live=LiveResults(merger),
        dead_letters=letters,
        newest_letters=Newest(letters, DEAD_LETTERS_SHOWN),
        redriver=redriver,
        store=store,
        pins=PinStore(settings.pins_path),
        dashboards=DashboardStore(settings.boards_dir, history, clock),
        board_history=history,
        alerts=alerts,
        annotations=Annotations(boards),
        metrics=Registry(),
        settings=settings,
        clock=clock,
        query_socket=socket_path(settings.run_dir, QUERY_SOCKET),
        started_us=clock.now_us(),
        processes=_processes(settings),
    )
    return services, alerts


def _alerts(settings: Settings, stream: EmbeddedStream, follower: Follower, merger: Merger, clock: Clock) -> Alerts:
    sources = Sources(
        stream,
        follower,
        merger,
        socket_path(settings.run_dir, QUERY_SOCKET),
        settings.stream.seal_interval_ms * 1000,
        clock,
    )
    lines = Lines(follower, settings.fields)
    url = url_of(settings.listen_host, settings.listen_port)
    return make_alerts(settings.rules_dir, settings.alerts_path, sources, lines, clock, url)


def _speed(settings: Settings, stream: EmbeddedStream, clock: Clock) -> MakeSpeed:
    return lambda on_ready, on_blocks: EmbeddedSpeed(
        stream,
        settings.states_dir,
        clock,
        keys_max=settings.speed.keys_max,
        on_ready=on_ready,
        on_blocks=on_blocks,
    )


def _processes(settings: Settings) -> Callable[[], list[ProcessInfo]]:
    def listed() -> list[ProcessInfo]:
        file = read_run_file(settings.run_dir)
        if file is None:
            return []
        return [ProcessInfo("supervisor", file.pid), *(ProcessInfo(p.role, p.pid) for p in file.processes)]

    return listed
