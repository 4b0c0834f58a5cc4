"""`/v1/live`: one WebSocket a tab, all its subscriptions on it; at most four frames a second each.

A client that reads too slowly is not queued for: it simply gets the newest result when it is ready again, after a
`gap` frame that counts what was left out.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tailrace.dashboard.access import require_view
from tailrace.dashboard.encode import encode
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, TailraceError
from tailrace.model.scopes import ALL, Grants
from tailrace.model.window import iso
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.serving.subscribe import Frame, Subscription, with_head

LOG = logging.getLogger(__name__)
TICK_S = 0.25
HEARTBEAT_S = 5.0
SUBSCRIPTIONS_MAX = 64
SLOW_S = 2.0
"""A frame that takes longer to be taken by the client counts as a gap."""


class _Message(msgspec.Struct, kw_only=True):
    op: str
    sub: str
    view: str = ""
    over: str = "5m"
    step: str | None = None
    total: bool = False
    where: str | None = None
    top: dict[str, object] | None = None
    keys: list[str] | None = None


@dataclass(slots=True)
class _Held:
    """One subscription of one client."""

    wish: Subscription
    seq: int = 0
    key: tuple[object, ...] | None = None
    failed: str | None = None


class LiveSession:
    """One socket, from accept to close."""

    def __init__(self, socket: WebSocket, services: NodeServices, grants: Grants = ALL) -> None:
        self._socket = socket
        self._services = services
        self._grants = grants
        self._held: dict[str, _Held] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        await self._socket.accept()
        sender = asyncio.create_task(self._sending())
        try:
            while True:
                self._take(await self._received())
        except WebSocketDisconnect:
            return
        except Invalid as error:
            await self._socket.send_bytes(encode({"kind": "error", **error.as_json()}))
            await self._socket.close(1003)
        finally:
            sender.cancel()

    async def _received(self) -> str | bytes:
        """The next message, sent as text or as bytes. Raises WebSocketDisconnect."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text: str | None = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    def _take(self, content: str | bytes) -> None:
        try:
            message = msgspec.json.decode(content, type=_Message)
            if message.op == "unsubscribe":
                self._held.pop(message.sub, None)
                return
            if message.op != "subscribe":
                raise Invalid(f"unknown op `{message.op}`", hint="use subscribe or unsubscribe")
            fields = {k: getattr(message, k) for k in ("view", "over", "step", "total", "where", "top", "keys")}
            wish = msgspec.convert(fields, Subscription)
        except UNREADABLE as error:
            raise Invalid(f"message does not parse: {error}", hint="see /openapi.json for the frames") from error
        if len(self._held) >= SUBSCRIPTIONS_MAX and message.sub not in self._held:
            raise Invalid(f"more than {SUBSCRIPTIONS_MAX} subscriptions on one socket")
        self._held[message.sub] = _Held(wish)
        self._wake.set()

    async def _sending(self) -> None:
        """Frames until the socket ends. What nobody foresaw ends the socket, so that the page connects anew instead of standing still."""
        try:
            await self._send_frames()
        except WebSocketDisconnect:
            return
        except Exception:
            if self._socket.client_state is not WebSocketState.CONNECTED:
                return
            LOG.exception("a live session failed")
            await self._socket.close(1011)

    async def _send_frames(self) -> None:
        loop = asyncio.get_running_loop()
        beat_s = loop.time() - HEARTBEAT_S  # the first says at once that the node is there
        while True:
            for sub, held in list(self._held.items()):
                await self._send_one(sub, held)
            if loop.time() - beat_s >= HEARTBEAT_S:
                beat_s = loop.time()
                await self._send({"kind": "heartbeat", "server_now": iso(self._services.clock.now_us())})
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), TICK_S)
            except TimeoutError:
                continue

    async def _send_one(self, sub: str, held: _Held) -> None:
        now_us = self._services.clock.now_us()
        try:
            frame = await asyncio.to_thread(self._frame, held.wish, now_us)
        except TailraceError as error:
            if held.failed != error.message:
                held.failed, held.key = error.message, None
                await self._send({"sub": sub, "kind": "error", **error.as_json()})
            return
        held.failed = None
        if frame.key == held.key or self._held.get(sub) is not held:
            return
        held.key, held.seq = frame.key, held.seq + 1
        started_s = asyncio.get_running_loop().time()
        await self._socket.send_text(with_head(frame, sub, held.seq, now_us).decode())
        late_s = asyncio.get_running_loop().time() - started_s
        if late_s > SLOW_S:
            await self._send({"sub": sub, "kind": "gap", "dropped": int(late_s / TICK_S)})

    def _frame(self, wish: Subscription, now_us: int) -> Frame:
        require_view(self._services, self._grants, wish.view)  # first: what is not there is told with all that is
        pinned = self._services.fresh(wish.view, exact=False)
        require_view(self._services, self._grants, wish.view, pinned=pinned)
        return self._services.live.frame(wish, pinned, now_us)

    async def _send(self, value: dict[str, object]) -> None:
        await self._socket.send_text(encode(value).decode())
