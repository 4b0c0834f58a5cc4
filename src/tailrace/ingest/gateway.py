"""Passes every request that is not a post of logs to the node, over its unix socket, as a stream in both directions.

So one address serves all. While the node is away the answer is 503 and the page retries by itself; a client that leaves
ends the request at the node too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tailrace.access.principal import HEADER, Asker, to_header
from tailrace.errors import Unavailable
from tailrace.ingest.guard import header
from tailrace.ingest.responses import error_response
from tailrace.runtime.client_gone import ClientGone, disconnected, unless_gone
from tailrace.telemetry.metrics import GATEWAY_REQUESTS
from tailrace.telemetry.registry import Registry

T = TypeVar("T")

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
    }
    | {b"transfer-encoding", b"upgrade"}
)
"""Source: RFC 9110, section 7.6.1. They speak of one connection and end with it."""
CONTROL_TIMEOUT_S = 60.0
"""An operation may be a hundred splits."""
_ASKED_AGAIN = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that change nothing may be sent twice."""
_AWAY_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2"><meta name="color-scheme" content="light dark">
<title>Tailrace is starting</title>
<body style="font: 16px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 90vh; text-align: center">
<h1>Tailrace is starting</h1>
<p>Log lines are taken in and kept already. This page looks again every two seconds.</p>
"""


class Gateway:
    """An ASGI app for HTTP requests. `socket`: where the node listens; None: there is no node (ingest alone)."""

    def __init__(self, socket: Path | None, metrics: Registry) -> None:
        self._metrics = metrics
        self._http = (
            None
            if socket is None
            else httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_keepalive_connections=16)),
                timeout=httpx.Timeout(None, connect=5.0),
                follow_redirects=False,
                trust_env=False,
            )
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = _Client(receive)
        try:
            upstream = await self._ask(scope, client)
        except ClientGone:
            return
        except httpx.TransportError:
            self._metrics.add(GATEWAY_REQUESTS, 1, "503")
            await away(scope)(scope, receive, send)
            return
        self._metrics.add(GATEWAY_REQUESTS, 1, str(upstream.status_code))
        try:
            await client.unless_gone(_pass_on(upstream, send))
        except (ClientGone, httpx.TransportError):
            return  # the server sees an answer that was begun and not ended, and cuts the connection
        finally:
            await upstream.aclose()

    async def text(self, path: str) -> str | None:
        """The body of a 200 from the node, or None."""
        if self._http is None:
            return None
        try:
            found = await self._http.get(f"http://node{path}", timeout=5.0)
        except httpx.TransportError:
            return None
        return found.text if found.status_code == 200 else None

    async def control(self, target: str, body: bytes, asker: Asker) -> tuple[int, bytes]:
        """Status and body of the node's answer to an operation of the Kinesis API. Raises httpx.TransportError if there is none."""
        if self._http is None:
            raise httpx.ConnectError("there is no node")
        headers = {"X-Amz-Target": target, "Content-Type": "application/json", HEADER: to_header(asker).decode()}
        found = await self._http.post("http://node/", content=body, headers=headers, timeout=CONTROL_TIMEOUT_S)
        return found.status_code, found.content

    async def _ask(self, scope: Scope, client: _Client) -> httpx.Response:
        """The node's answer, its body not read yet. Raises httpx.TransportError if there is none, ClientGone."""
        if self._http is None:
            raise httpx.ConnectError("there is no node")
        path = scope.get("raw_path") or scope["path"].encode()
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        said = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        has_body = said or (scope["http_version"] == "2" and await client.sends_body())
        request = httpx.Request(
            scope["method"],
            httpx.URL(scheme="http", host="node", raw_path=path + query),
            headers=end_to_end(scope["headers"]),
            content=client.body() if has_body else None,
        )
        if has_body:
            return await client.unless_gone(self._http.send(request, stream=True), body_first=True)
        try:
            return await client.unless_gone(self._http.send(request, stream=True))
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if scope["method"] not in _ASKED_AGAIN:
                raise
            # A kept connection that the node had closed, most likely.
            return await client.unless_gone(self._http.send(request, stream=True))


class _Client:
    """The one who asked: what it sends, and whether it is still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first: Message | None = None
        self._body_read = asyncio.Event()

    async def sends_body(self) -> bool:
        """Whether a body comes, where headers need not say so: HTTP/2 ends a body by a flag. Raises ClientGone."""
        self._first = await self._receive()
        if self._first["type"] == "http.disconnect":
            raise ClientGone
        return bool(self._first.get("body") or self._first.get("more_body"))

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            message, self._first = self._first or await self._receive(), None
            if message["type"] == "http.disconnect":
                raise ClientGone
            yield message.get("body", b"")
            if not message.get("more_body", False):
                self._body_read.set()
                return

    async def unless_gone(self, work: Coroutine[Any, Any, T], *, body_first: bool = False) -> T:
        """The outcome of `work`, as `client_gone.unless_gone`. `body_first`: `work` reads the body; until then it notices itself."""
        return await unless_gone(work, self._gone(body_first=body_first))

    async def _gone(self, *, body_first: bool) -> None:
        if body_first:
            await self._body_read.wait()
        await disconnected(self._receive)


async def _pass_on(upstream: httpx.Response, send: Send) -> None:
    # The server puts the date on every answer itself.
    headers = [(name, value) for name, value in end_to_end(upstream.headers.raw) if name != b"date"]
    await send({"type": "http.response.start", "status": upstream.status_code, "headers": headers})
    async for chunk in upstream.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers that are not about one connection. Names come out in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in lowered if name == b"connection").lower().split(b",")
    dropped = _HOP_BY_HOP | {name.strip() for name in named}
    return [(name, value) for name, value in lowered if name not in dropped]


def away(scope: Scope) -> Response:
    """503: a page that looks again for a browser, the error shape for all else."""
    wants = header(scope["headers"], b"accept") or ""
    if scope["method"] in ("GET", "HEAD") and "text/html" in wants:
        return HTMLResponse(_AWAY_PAGE, status_code=503, headers={"Retry-After": "2", "Cache-Control": "no-store"})
    hint = "it is starting or restarting: ask again; posts to /v1/logs are taken in meanwhile"
    return error_response(Unavailable("the node does not answer", retry_after_s=2, hint=hint))
