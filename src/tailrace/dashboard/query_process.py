"""The way to the process that runs users' SQL and computes the past again."""

from __future__ import annotations

import httpx
from starlette.requests import Request

from tailrace.errors import Unavailable
from tailrace.runtime.client_gone import disconnected, unless_gone


async def ask_query_process(request: Request, sent: httpx.Request, *, stream: bool = False) -> httpx.Response:
    """Its answer to `sent` on behalf of `request`, whose body has been read; with `stream`, the answer's body has not.

    What runs there is cancelled if the client goes: raises ClientGone then, and Unavailable if the process is not there.
    """
    client: httpx.AsyncClient = request.app.state.query_client
    try:
        return await unless_gone(client.send(sent, stream=stream), disconnected(request.receive))
    except httpx.TransportError as error:
        raise Unavailable(
            "the query process is starting again", retry_after_s=1, hint="ask again in a second"
        ) from error
