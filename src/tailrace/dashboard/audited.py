"""Notes in the audit who has administered the node: every request that changes something and needs the scope admin.

What concerns users, keys and sessions notes itself, with more to say (`access/manage.py`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.access import audit
from tailrace.access.model import AuditRow
from tailrace.access.routes import SIGNED, need_of
from tailrace.access.store import AccessStore
from tailrace.dashboard.access import asker
from tailrace.model.scopes import ADMIN
from tailrace.runtime.clock import Clock

_OWN = ("/v1/users", "/v1/keys", "/v1/sessions")
_HARMLESS = ("GET", "HEAD", "OPTIONS")


class Audited:
    """ASGI middleware. `path`: of the access file."""

    def __init__(self, app: ASGIApp, path: Path, clock: Clock) -> None:
        self._app = app
        self._store = AccessStore(path)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_noted(scope):
            await self._app(scope, receive, send)
            return
        noted = False

        async def noting(status: int) -> None:
            nonlocal noted
            noted = True
            await asyncio.to_thread(audit.note, self._store, self._row(Request(scope), status))

        async def sending(message: Message) -> None:
            """Written down before the answer goes out."""
            if message["type"] == "http.response.start":
                await noting(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if not noted:
                await noting(500)

    def _row(self, request: Request, status: int) -> AuditRow:
        who = asker(request)
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        return AuditRow(
            at_us=self._clock.now_us(),
            actor=who.principal.title if who.principal else "nobody",
            address=who.address,
            action=f"kinesis.{operation}" if request.url.path == "/" else f"{request.method} {request.url.path}",
            outcome="done" if status < 400 else str(status),
        )


def _is_noted(scope: Scope) -> bool:
    path = scope["path"]
    need = need_of(scope["method"], path)
    return (
        need.scope in (ADMIN, SIGNED)
        and scope["method"] not in _HARMLESS
        and not any(path == own or path.startswith(f"{own}/") for own in _OWN)
    )
