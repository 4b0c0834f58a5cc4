"""What the query process is asked for a client that goes is taken back, whichever route asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from starlette.requests import Request

from tailrace.dashboard.past import ask_past
from tailrace.dashboard.query_process import ask_query_process
from tailrace.errors import Unavailable
from tailrace.runtime.client_gone import ClientGone
from tailrace.serving.merge import ViewQuery


class Silent(httpx.AsyncBaseTransport):
    """Takes a request and never answers; `ended`: it was cancelled."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.ended = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            self.ended = True


class Away(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens")


def request_of(transport: httpx.AsyncBaseTransport, leaves: asyncio.Event) -> Request:
    client = httpx.AsyncClient(transport=transport, base_url="http://query")
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await leaves.wait()
        return {"type": "http.disconnect"}

    app = SimpleNamespace(state=SimpleNamespace(query_client=client))
    return Request({"type": "http", "app": app, "method": "GET", "headers": []}, receive)


@pytest.mark.parametrize("route", ["query", "past"])
def test_a_client_that_goes_before_the_first_byte(route: str) -> None:
    async def go() -> bool:
        transport, leaves = Silent(), asyncio.Event()
        request = request_of(transport, leaves)
        sent = request.app.state.query_client.build_request("POST", "/v1/query")
        asking = asyncio.ensure_future(
            ask_query_process(request, sent, stream=True)
            if route == "query"
            else ask_past(request, "overall_health", ViewQuery(), {})
        )
        await transport.asked.wait()
        assert not asking.done()
        leaves.set()
        with pytest.raises(ClientGone):
            await asking
        return transport.ended

    assert asyncio.run(go())


def test_a_process_that_is_not_there() -> None:
    async def go() -> None:
        request = request_of(Away(), asyncio.Event())
        with pytest.raises(Unavailable):
            await ask_past(request, "overall_health", ViewQuery(), {})

    asyncio.run(go())
