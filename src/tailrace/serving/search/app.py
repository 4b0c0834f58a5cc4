"""`/v1/search*` of the query process: Explore's questions, under the same limits as users' SQL and in the same turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailrace.errors import TooLarge
from tailrace.serving.search.asked import (
    CompareAsked,
    ContextAsked,
    ExportAsked,
    FieldsAsked,
    HistogramAsked,
    PageAsked,
    ValuesAsked,
    read_body,
)
from tailrace.serving.search.compare import search_compare
from tailrace.serving.search.context import search_context
from tailrace.serving.search.export import MEDIA_TYPES, Export
from tailrace.serving.search.ground import Search, Searcher
from tailrace.serving.search.histogram import search_histogram
from tailrace.serving.search.page import search_page
from tailrace.serving.search.values import search_fields, search_values
from tailrace.serving.sql.app import a_turn, take_turn
from tailrace.serving.sql.run import Watched

BODY_BYTES_MAX = 1 << 18
EXPORTS_MAX = 2
EXPORT_S = 6 * 3600
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_Answer = Callable[[Search, Any], dict[str, Any]]
QUESTIONS: dict[str, tuple[Any, _Answer]] = {
    "": (PageAsked, search_page),
    "/histogram": (HistogramAsked, search_histogram),
    "/fields": (FieldsAsked, search_fields),
    "/values": (ValuesAsked, search_values),
    "/context": (ContextAsked, search_context),
    "/compare": (CompareAsked, search_compare),
}


def search_routes(searcher: Searcher) -> list[Route]:
    exports = asyncio.Semaphore(EXPORTS_MAX)
    routes = [_question(searcher, f"/v1/search{path}", *question) for path, question in QUESTIONS.items()]

    async def export(request: Request) -> Response:
        asked = read_body(await _body(request), ExportAsked)
        state = request.app.state
        loop = asyncio.get_running_loop()
        await take_turn(exports, loop.time() + state.limits.timeout_s)
        running: _Running | None = None
        try:
            search = await loop.run_in_executor(state.workers, searcher.open)
            watched = Watched(request, search, state.workers, loop.time() + EXPORT_S)
            running = _Running(watched, exports)
            made = await watched.wait(lambda: Export(search, asked))
            answer = _ExportAnswer(running, made, asked.format)
        except BaseException:
            await running.end() if running else exports.release()
            raise
        return answer

    return [*routes, Route("/v1/search/export", export, methods=["POST"])]


def _question(searcher: Searcher, path: str, kind: Any, answer: _Answer) -> Route:
    async def endpoint(request: Request) -> Response:
        state = request.app.state
        started_s = state.clock.monotonic_s()
        asked = read_body(await _body(request), kind)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + state.limits.timeout_s
        async with a_turn(state.turns, deadline_s):
            search = await loop.run_in_executor(state.workers, searcher.open)
            watched = Watched(request, search, state.workers, deadline_s)
            try:
                found = await watched.wait(lambda: answer(search, asked))
            finally:
                await watched.close()
        found["elapsed_ms"] = round((state.clock.monotonic_s() - started_s) * 1000, 1)
        return Response(_ENCODER.encode(found), media_type="application/json")

    return Route(path, endpoint, methods=["POST"])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"the request is longer than `{BODY_BYTES_MAX}` bytes")
    return bytes(body)


class _Running:
    def __init__(self, watched: Watched, exports: asyncio.Semaphore) -> None:
        self.watched = watched
        self._exports = exports

    async def end(self) -> None:
        try:
            await self.watched.close()
        finally:
            self._exports.release()


class _ExportAnswer(StreamingResponse):
    """Ends the export however the sending ends."""

    def __init__(self, running: _Running, export: Export, form: str) -> None:
        count = "unknown" if export.count is None else str(export.count)
        headers = {
            "Tailrace-Records": count,
            "Content-Disposition": f'attachment; filename="tailrace-logs.{form}"',
        }
        super().__init__(_chunks(running.watched, export), media_type=MEDIA_TYPES[form], headers=headers)
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.end()


async def _chunks(watched: Watched, export: Export) -> AsyncIterator[bytes]:
    chunks = export.chunks()
    while (chunk := await watched.wait(lambda: next(chunks, None))) is not None:
        if chunk:
            yield chunk
