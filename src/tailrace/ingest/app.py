"""The ASGI app of an ingest process: `POST /v1/logs` and the Kinesis API here, everything else to the node. Composed by `pipeline`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from tailrace.access.directory import Directory
from tailrace.access.store import AccessStore
from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.ingest.admission import DiskGate, Gate
from tailrace.ingest.door import Door
from tailrace.ingest.gateway import Gateway
from tailrace.ingest.guard import Guard
from tailrace.ingest.protocols.http_json import LogsEndpoint
from tailrace.ingest.protocols.kinesis.endpoint import KinesisEndpoint
from tailrace.ingest.protocols.otlp import OtlpEndpoint
from tailrace.ingest.responses import on_error, on_http_error, on_unforeseen
from tailrace.ingest.websocket import WebSocketGateway
from tailrace.runtime.clock import Clock, SystemClock
from tailrace.stream.base import StreamBackend
from tailrace.telemetry.folder import collect, publish, withdraw
from tailrace.telemetry.registry import Registry, render

_PUBLISH_INTERVAL_S = 2
_DECODERS = 2


def create_app(
    stream: StreamBackend,
    settings: Settings,
    node_socket: Path | None,
    *,
    clock: Clock | None = None,
    name: str = "ingest",
) -> ASGIApp:
    """`node_socket`: where the node's HTTP server listens (None: none, every other path answers 503).

    `name` labels this process in `/metrics`. The stream belongs to the caller, who closes it after the server has ended.
    """
    clock = clock or SystemClock()
    metrics = Registry()
    gate = Gate(settings.ingest.in_flight_max, settings.stream.queue_bytes_max, metrics)
    disk = DiskGate(settings.data_dir, settings.ingest, clock, metrics)
    workers = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")
    gateway = Gateway(node_socket, metrics)
    directory = Directory(AccessStore(settings.access_path), settings, clock)
    logs = LogsEndpoint(stream, settings, gate, disk, workers, clock, metrics)
    kinesis = KinesisEndpoint(stream, settings, gate, disk, workers, gateway, directory, clock, metrics)
    folder = settings.run_dir / "metrics"

    async def all_metrics(request: Request) -> Response:
        await asyncio.to_thread(_show, metrics, folder, name)
        own = render(await asyncio.to_thread(collect, folder))
        return PlainTextResponse((await gateway.text("/metrics") or "") + own, media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        publishing = asyncio.create_task(_publish(metrics, folder, name))
        try:
            yield
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing
            await gateway.close()
            workers.shutdown()
            withdraw(folder)

    return Starlette(
        routes=[
            Route("/v1/logs", logs.handle, methods=["POST"]),
            Route("/v1/logs", _post_only, methods=["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
            Route("/", kinesis.handle, methods=["POST"]),
            Route("/v1/otlp/v1/logs", OtlpEndpoint(logs, settings, clock, metrics).handle, methods=["POST"]),
            Route("/v1/otlp/v1/logs", _post_only, methods=["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
            Route("/metrics", all_metrics, methods=["GET"]),
            WebSocketRoute("/{path:path}", WebSocketGateway(node_socket)),
            Mount("/", gateway),
        ],
        middleware=[
            Middleware(Guard, listen_host=settings.listen_host),
            Middleware(Door, directory=directory, metrics=metrics),
        ],
        exception_handlers={TailraceError: on_error, HTTPException: on_http_error, Exception: on_unforeseen},
        lifespan=lifespan,
    )


async def _post_only(request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": "POST"})


def _show(metrics: Registry, folder: Path, name: str) -> None:
    """A disk that is full keeps the others from seeing them, and stops nothing else."""
    with suppress(OSError):
        publish(metrics, folder, name)


async def _publish(metrics: Registry, folder: Path, name: str) -> None:
    """Show this process's metrics to the others, every few seconds."""
    while True:
        await asyncio.to_thread(_show, metrics, folder, name)
        await asyncio.sleep(_PUBLISH_INTERVAL_S)
