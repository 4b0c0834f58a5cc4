"""Who may use a node that has keys: `Authorization: Bearer SECRET`, or `Basic` with id and secret, which browsers ask a person for.

The Kinesis API checks signatures itself. `/healthz` and `/readyz` tell everybody whether the node is there. No secret goes further than
here: the header is taken off before a request is passed on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.config.settings import AccessKey
from tailrace.errors import Unauthorized
from tailrace.ingest.guard import header
from tailrace.ingest.responses import error_response

_OPEN = frozenset({"/healthz", "/readyz"})
_POLICY_VIOLATION = 1008


class Keys:
    """ASGI middleware. `keys`: those configured; without any, everybody is let in."""

    def __init__(self, app: ASGIApp, keys: Sequence[AccessKey]) -> None:
        self._app = app
        self._bearers = [_digest(key.secret.encode()) for key in keys]
        self._basics = [_digest(f"{key.id}:{key.secret}".encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._bearers or scope["type"] not in ("http", "websocket") or _is_open(scope):
            await self._app(scope, receive, send)
            return
        given = header(scope["headers"], b"authorization")
        if given is not None and self._is_right(given):
            kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            await self._app({**scope, "headers": kept}, receive, send)
            return
        response = _refusal(scope, given is not None)
        if scope["type"] == "http":
            await response(scope, receive, send)
        else:
            await receive()
            await _deny(scope, send, response)

    def _is_right(self, given: str) -> bool:
        """Every key is compared, and each in the same time."""
        scheme, _, value = given.strip().partition(" ")
        if scheme.lower() == "bearer":
            digest, known = _digest(value.strip().encode("utf-8", "replace")), self._bearers
        elif scheme.lower() == "basic":
            digest, known = _digest(_decoded(value)), self._basics
        else:
            return False
        return sum(hmac.compare_digest(digest, each) for each in known) > 0


def _is_open(scope: Scope) -> bool:
    return scope["type"] == "http" and (scope["path"] in _OPEN or (scope["path"] == "/" and scope["method"] == "POST"))


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _refusal(scope: Scope, was_given: bool) -> Response:
    message = "the key is none of this node's" if was_given else "this node wants a key"
    hint = "send `Authorization: Bearer SECRET`; commands take the secret from the variable TAILRACE_KEY"
    response = error_response(Unauthorized(message, hint=hint))
    wants_page = "text/html" in (header(scope["headers"], b"accept") or "")
    response.headers["WWW-Authenticate"] = 'Basic realm="Tailrace", charset="UTF-8"' if wants_page else "Bearer"
    return response


async def _deny(scope: Scope, send: Send, response: Response) -> None:
    """Answer a handshake with 401 where the server can, else close it unopened (HTTP 403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    await send(
        {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
