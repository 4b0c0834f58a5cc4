"""`POST /v1/past` of the query process: what the node asks it for a request with `at=`. Not reached from outside."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.errors import Invalid
from tailrace.serving.merge import ViewQuery
from tailrace.serving.past.read import PastRead, PastViews
from tailrace.serving.sql.app import a_turn
from tailrace.serving.sql.run import Watched

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class PastAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`ends`: shard -> offset before which its lines count. `version`: None for the one that answers now."""

    view: str
    query: ViewQuery
    ends: dict[str, int]
    version: str | None = None


def past_routes(past: PastViews) -> list[Route]:
    """They take turns with users' statements, under the same limits of time and memory."""

    async def answer(request: Request) -> Response:
        state = request.app.state
        try:
            asked = msgspec.json.decode(await request.body(), type=PastAsked)
        except msgspec.MsgspecError as error:
            raise Invalid(f"the request cannot be read: {error}") from error
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + state.limits.timeout_s
        async with a_turn(state.turns, deadline_s):
            read = await loop.run_in_executor(state.workers, past.open)
            watched = Watched(request, read, state.workers, deadline_s)
            try:
                body = await watched.wait(lambda: _document(read, asked))
            finally:
                await watched.close()
        return Response(body, media_type="application/json")

    return [Route("/v1/past", answer, methods=["POST"])]


def _document(read: PastRead, asked: PastAsked) -> bytes:
    return _ENCODER.encode(read.answer(asked.view, asked.query, asked.ends, asked.version).as_json())
