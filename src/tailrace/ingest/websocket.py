"""Passes WebSockets to the node: the node's yes or no first, then messages both ways until one side closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from tailrace.ingest.gateway import away, end_to_end
from tailrace.ingest.guard import header

_OPEN_TIMEOUT_S = 5
_CLOSE_TIMEOUT_S = 1
_GOING_AWAY, _TRY_AGAIN = 1001, 1013
_UNSENDABLE_CODES = frozenset({1005, 1006, 1015})
"""Codes that stand for a close without one. Source: RFC 6455, section 7.4.1."""


class WebSocketGateway:
    """An ASGI app for WebSockets. `socket`: where the node listens; None: there is no node."""

    def __init__(self, socket: Path | None) -> None:
        self._socket = socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            upstream = await self._connect(scope)
        except InvalidStatus as error:
            await _deny(scope, send, error.response.status_code, bytes(error.response.body or b""))
            return
        except (OSError, InvalidHandshake, TimeoutError):
            response = away({**scope, "method": "GET"})
            await _deny(scope, send, response.status_code, bytes(response.body))
            return
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol, "headers": []})
        await _pass_on(upstream, receive, send)

    async def _connect(self, scope: Scope) -> ClientConnection:
        if self._socket is None:
            raise OSError("there is no node")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        query = "?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in end_to_end(scope["headers"])
            if not name.startswith(b"sec-websocket-") and name not in (b"host", b"user-agent")
        ]
        return await unix_connect(
            str(self._socket),
            f"ws://{header(scope['headers'], b'host') or 'node'}{path}{query}",
            additional_headers=headers,
            user_agent_header=header(scope["headers"], b"user-agent"),
            subprotocols=[Subprotocol(each) for each in scope.get("subprotocols", [])] or None,
            compression=None,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=None,
            proxy=None,
        )


async def _deny(scope: Scope, send: Send, status: int, body: bytes) -> None:
    """Answer the handshake with an HTTP error where the server can, else close it unopened (HTTP 403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _TRY_AGAIN})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _pass_on(upstream: ClientConnection, receive: Receive, send: Send) -> None:
    """Ends both sides as soon as one ends, with the same code and reason where there are any."""
    down = asyncio.ensure_future(_to_client(upstream, send))
    up = asyncio.ensure_future(_to_node(upstream, receive))
    try:
        await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        if down.done() and not up.done():
            down.result()
            await send(_close_message(upstream))
    finally:
        for each in (down, up):
            each.cancel()
        await asyncio.gather(down, up, return_exceptions=True)
        await upstream.close()


async def _to_client(upstream: ClientConnection, send: Callable[[dict[str, Any]], Any]) -> None:
    try:
        async for message in upstream:
            key = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", key: message})
    except ConnectionClosed:
        return


async def _to_node(upstream: ClientConnection, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or _GOING_AWAY
            await upstream.close(_GOING_AWAY if code in _UNSENDABLE_CODES else code, message.get("reason") or "")
            return
        text = message.get("text")
        try:
            await upstream.send(text if text is not None else message["bytes"])
        except ConnectionClosed:
            return


def _close_message(upstream: ClientConnection) -> dict[str, Any]:
    code = upstream.close_code
    sendable = code is not None and code not in _UNSENDABLE_CODES
    return {
        "type": "websocket.close",
        "code": code if sendable else _GOING_AWAY,
        "reason": upstream.close_reason or "",
    }
