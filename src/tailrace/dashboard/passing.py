"""Requests that another process of the node answers: passed on, answer and all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tailrace.dashboard.query_process import ask_query_process

_KEPT = ("content-type", "content-length", "retry-after", "content-disposition", "tailrace-records")


async def pass_on(request: Request, sent: httpx.Request) -> Response:
    """If the client goes, before or within the answer, what runs there is cancelled."""
    answer = await ask_query_process(request, sent, stream=True)
    kept = {name: value for name, value in answer.headers.items() if name in _KEPT}
    return StreamingResponse(_body(answer), status_code=answer.status_code, headers=kept)


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
