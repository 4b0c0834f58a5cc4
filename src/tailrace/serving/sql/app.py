"""`POST /v1/query` of the query process. The node passes requests on to it, on a unix socket.

Statements are neither logged nor counted by their text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailrace.batch.base import Lake
from tailrace.config.settings import Settings
from tailrace.errors import InternalError, Invalid, TailraceError, TooLarge, Unavailable
from tailrace.runtime.clock import Clock, SystemClock
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.serving.sql.answer import Format, accepted_format, named_format
from tailrace.serving.sql.engine import SqlEngine, ViewRelations
from tailrace.serving.sql.run import Run
from tailrace.serving.sql.statement import SQL_BYTES_MAX
from tailrace.stream.base import StreamBackend

QUERIES_MAX = 4
"""Statements that run at once; more wait for their turn, within their own time limit."""
RELATIONS_HEADER = "tailrace-relations"
"""What the statement may name, with commas between; without it, all that there is. Written by the node alone."""
_BODY_BYTES_MAX = 2 * SQL_BYTES_MAX


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request, unless it is the statement itself."""

    sql: str
    format: str | None = None


def create_query_app(
    stream: StreamBackend,
    lake: Lake,
    settings: Settings,
    view_relations: ViewRelations | None = None,
    clock: Clock | None = None,
    routes: Sequence[Route] = (),
) -> Starlette:
    """Opens the engine at once; the caller closes stream and lake when the server has ended. `routes`: what else it answers."""
    app = Starlette(
        routes=[Route("/v1/query", query, methods=["POST"]), Route("/healthz", healthz), *routes],
        exception_handlers={TailraceError: refuse, Exception: refuse},
    )
    app.state.engine = SqlEngine(stream, lake, settings, view_relations)
    app.state.limits = settings.query
    app.state.clock = clock or SystemClock()
    app.state.turns = asyncio.Semaphore(QUERIES_MAX)
    app.state.workers = ThreadPoolExecutor(2 * QUERIES_MAX, thread_name_prefix="query")
    return app


async def healthz(request: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def refuse(request: Request, error: Exception) -> Response:
    """What nobody foresaw is told as an internal error, without its text: that may name what no answer may."""
    unforeseen = not isinstance(error, TailraceError)
    if not isinstance(error, TailraceError):
        error = InternalError("the query process failed at this statement", hint="please report it")
    answer = Response(msgspec.json.encode(error.as_json()), error.http_status, media_type="application/json")
    if unforeseen:
        answer.headers["Connection"] = "close"  # which is what uvicorn does then
    if isinstance(error, Unavailable):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


async def query(request: Request) -> Response:
    """Errors before the first row have a status of their own; one that strikes later breaks the connection off."""
    state = request.app.state
    started_s = state.clock.monotonic_s()
    asked, form = await read_request(request)
    deadline_s = asyncio.get_running_loop().time() + state.limits.timeout_s
    await take_turn(state.turns, deadline_s)
    named = request.headers.get(RELATIONS_HEADER)
    readable = None if named is None else frozenset(named.split(","))
    run = Run(request, state.engine.open(readable), state.workers, deadline_s)
    streamed: StreamedAnswer | None = None
    try:
        await run.prepare(asked.sql)
        if form is Format.JSON:
            body = await run.json_document(
                state.limits.rows_max, lambda: (state.clock.monotonic_s() - started_s) * 1000
            )
            return Response(body, media_type=form.media_type)
        chunks = run.chunks(form)
        streamed = StreamedAnswer(run, state.turns, await anext(chunks), chunks, form)
        return streamed
    finally:
        if streamed is None:
            await end(run, state.turns)


async def read_request(request: Request) -> tuple[Asked, Format]:
    """The statement and the format: from `?format=`, else the body's, else Accept. Raises Invalid or TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise TooLarge(f"the request is longer than `{_BODY_BYTES_MAX}` bytes")
    asked = parse_body(bytes(body))
    named = request.query_params.get("format") or asked.format
    return asked, named_format(named) if named else accepted_format(request.headers.get("accept", ""))


def parse_body(body: bytes) -> Asked:
    """A JSON object with `sql`, or the statement as plain text."""
    try:
        if body.lstrip()[:1] == b"{":
            return msgspec.json.decode(body, type=Asked)
        return Asked(body.decode())
    except UNREADABLE as error:
        raise Invalid(f"the request cannot be read: {error}", hint='send {"sql": "SELECT ..."}') from error


async def take_turn(turns: asyncio.Semaphore, deadline_s: float) -> None:
    try:
        async with asyncio.timeout_at(deadline_s):
            await turns.acquire()
    except TimeoutError:
        raise Unavailable("too many queries run already", retry_after_s=2, hint="ask again in a moment") from None


@asynccontextmanager
async def a_turn(turns: asyncio.Semaphore, deadline_s: float) -> AsyncIterator[None]:
    """As `take_turn`, and gives it back."""
    await take_turn(turns, deadline_s)
    try:
        yield
    finally:
        turns.release()


async def end(run: Run, turns: asyncio.Semaphore) -> None:
    try:
        await run.close()
    finally:
        turns.release()


class StreamedAnswer(StreamingResponse):
    """Ends the run however the sending ends."""

    def __init__(
        self, run: Run, turns: asyncio.Semaphore, first: bytes, chunks: AsyncIterator[bytes], form: Format
    ) -> None:
        super().__init__(_joined(first, chunks), media_type=form.media_type)
        self._run = run
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await end(self._run, self._turns)


async def _joined(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        if chunk:
            yield chunk
