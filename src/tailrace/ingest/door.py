"""The door of a node: who asks, whether the route is for him, and what he is told if not. All requests from outside come through here.

A key is shown as `Authorization: Bearer SECRET`, or `Basic` with id and secret; a browser shows the cookie of its session. The Kinesis
API checks signatures itself. No secret goes further than here: the header and the cookie are taken off before a request is passed on,
and the node is told who it is. Whoever listens for long (a WebSocket, a tail, a long answer) is looked at again every second, and cut off
once the key is revoked, the session has ended or the scopes are others.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.access.directory import Directory, Shown
from tailrace.access.passwords import SESSION_PREFIX
from tailrace.access.principal import HEADER, OPEN_HOUSE, Asker, to_header
from tailrace.access.routes import KNOWN, OPEN, SIGNED, Need, need_of
from tailrace.errors import Forbidden, TailraceError, Unauthorized
from tailrace.ingest.guard import header
from tailrace.ingest.responses import error_response
from tailrace.model.scopes import QUERY
from tailrace.telemetry.metrics import ACCESS_REFUSED
from tailrace.telemetry.registry import Registry

LOOK_AGAIN_S = 1.0
_POLICY_VIOLATION = 1008
_HEADER = HEADER.encode()


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, directory: Directory, metrics: Registry) -> None:
        self._app = app
        self._directory = directory
        self._metrics = metrics
        self._noting = set[asyncio.Task[None]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        need = need_of(scope.get("method", "GET"), scope["path"])
        try:
            required = self._directory.login_required()
            shown = self._shown(scope) if required and need.scope != SIGNED else None
            if required:
                _check(scope, need, shown)
        except TailraceError as error:
            self._metrics.add(ACCESS_REFUSED, 1, str(error.http_status))
            await _refuse(scope, receive, send, error)
            return
        if shown is not None:
            self._note(shown)
        inside = {**scope, "headers": self._headers(scope, shown, required=required)}
        if shown is not None and need.scope == QUERY:
            await self._watched(inside, receive, send, shown)
        else:
            await self._app(inside, receive, send)  # over soon; and what changes something is done whole or not at all

    def _shown(self, scope: Scope) -> Shown | None:
        """By the header if there is one, and else by the cookie."""
        given = header(scope["headers"], b"authorization")
        if given is None:
            token = _cookie(scope)
            return self._directory.by_token(token) if token else None
        scheme, _, value = given.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._directory.by_secret(value.strip())
        if scheme.lower() == "basic":
            key_id, _, secret = _decoded(value).partition(":")
            return self._directory.by_id_and_secret(key_id, secret)
        return None

    def _headers(self, scope: Scope, shown: Shown | None, *, required: bool) -> list[tuple[bytes, bytes]]:
        """Those of the request, without what the door alone says and reads, and with what it has found."""
        name = cookie_name(scope)
        kept = [(key, value) for key, value in scope["headers"] if key != _HEADER]
        if required and need_of(scope.get("method", "GET"), scope["path"]).scope != SIGNED:
            kept = [(key, value) for key, value in kept if key not in (b"authorization", b"cookie")]
        asker = Asker(
            principal=(shown.principal if shown else None) if required else OPEN_HOUSE,
            address=(scope.get("client") or ("", 0))[0],
            secure=_is_secure(scope),
            cookie=name,
            login_required=required,
        )
        return [*kept, (_HEADER, to_header(asker))]

    def _note(self, shown: Shown) -> None:
        """Write down that it is in use, aside."""
        if not self._directory.due(shown):
            return
        key_id = None if shown.session else shown.principal.name
        task = asyncio.create_task(self._seen(shown.session, key_id))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _seen(self, session: bytes | None, key_id: str | None) -> None:
        with suppress(TailraceError):
            await asyncio.to_thread(self._directory.store.seen, session, key_id, self._directory.now_us())

    async def _watched(self, scope: Scope, receive: Receive, send: Send, shown: Shown) -> None:
        """The app, ended early if what was shown at the door is no longer worth the same."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        work = asyncio.ensure_future(self._app(scope, receive, sending))
        try:
            while not (await asyncio.wait({work}, timeout=LOOK_AGAIN_S))[0]:
                if not self._still(scope, shown):
                    work.cancel()
                    await asyncio.wait({work})
                    await _cut(scope, send, begun=begun)
                    return
            work.result()
        finally:
            if not work.done():
                work.cancel()

    def _still(self, scope: Scope, shown: Shown) -> bool:
        try:
            return self._directory.again(shown) == shown
        except TailraceError:
            return True  # the file cannot be read just now: it is asked again in a second


def cookie_name(scope: Scope) -> str:
    """One for each address of a node: browsers share cookies among all ports of a machine.

    Over TLS with a prefix that makes a browser take it over TLS alone, and from this host alone.
    """
    port = (scope.get("server") or ("", 0))[1] or 0
    return f"__Host-tailrace-{port}" if _is_secure(scope) else f"tailrace-{port}"


def _is_secure(scope: Scope) -> bool:
    return scope["scheme"] in ("https", "wss")


def _cookie(scope: Scope) -> str:
    """The token of the session, or empty."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    parts = (part for key, value in headers if key == b"cookie" for part in value.decode("latin-1").split(";"))
    for part in parts:
        found, _, token = part.strip().partition("=")
        if found == cookie_name(scope) and token.startswith(SESSION_PREFIX):
            return token
    return ""


def _check(scope: Scope, need: Need, shown: Shown | None) -> None:
    """Raises Unauthorized or Forbidden."""
    if need.scope in (OPEN, SIGNED):
        return
    if shown is None:
        was_given = header(scope["headers"], b"authorization") is not None or bool(_cookie(scope))
        raise Unauthorized(
            "the key or session is none of this node's, or no longer"
            if was_given
            else "this node wants a log-in or a key",
            hint="log in on the page, or send `Authorization: Bearer SECRET`; commands take the secret from the variable TAILRACE_KEY",
        )
    if shown.session is not None and scope["type"] == "websocket" and header(scope["headers"], b"origin") is None:
        raise Forbidden(
            "a WebSocket with a cookie names its origin",
            hint="programs show a key instead: Authorization: Bearer SECRET",
        )
    if need.scope == KNOWN:
        return
    grants = shown.principal.grants
    if not (grants.whole(need.scope) if need.whole else grants.has(need.scope)):
        whole = " in all streams" if need.whole and grants.has(need.scope) else ""
        raise Forbidden(
            f"this needs the scope `{need.scope}`{whole}, and `{shown.principal.name}` has: {', '.join(grants.texts())}",
            hint="whoever administers the node can give it: tailrace users scopes, tailrace keys add",
        )


async def _refuse(scope: Scope, receive: Receive, send: Send, error: TailraceError) -> None:
    response = error_response(error)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="Tailrace"'
    if scope["type"] == "http":
        await response(scope, receive, send)
    else:
        await receive()
        await _deny(scope, send, response)


async def _cut(scope: Scope, send: Send, *, begun: bool) -> None:
    """End what has begun: a WebSocket with a reason, an answer by breaking the connection off."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "the log-in has ended"})
    elif not begun:
        await error_response(Unauthorized("the log-in has ended", hint="log in again"))(scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _deny(scope: Scope, send: Send, response: Response) -> None:
    """Answer a handshake with an HTTP error where the server can, else close it unopened (HTTP 403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    await send(
        {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
