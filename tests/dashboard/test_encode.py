"""The one shape of errors, also of those that nobody foresaw."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.dashboard.encode import error_response
from tailrace.errors import TailraceError, Unavailable


async def fail(request: Request) -> Response:
    raise RuntimeError("a text that is not for everybody")


async def wait(request: Request) -> Response:
    raise Unavailable("not yet", retry_after_s=7, hint="ask again")


async def ask(path: str) -> httpx.Response:
    handlers = {TailraceError: error_response, Exception: error_response}
    app = Starlette(routes=[Route("/fail", fail), Route("/wait", wait)], exception_handlers=handlers)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.get(path)


@pytest.mark.anyio
async def test_an_unforeseen_error_has_the_shape_and_keeps_its_text() -> None:
    answer = await ask("/fail")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "report" in answer.json()["error"]["hint"]
    assert "everybody" not in answer.text
    assert answer.headers["connection"] == "close"


@pytest.mark.anyio
async def test_what_may_be_asked_again_says_when() -> None:
    answer = await ask("/wait")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json()["error"] == {"code": "unavailable", "message": "not yet", "hint": "ask again"}
