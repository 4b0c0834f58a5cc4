"""Keeps other web sites out of a node.

Any page that a person opens can send requests to 127.0.0.1. Two checks stop it: the `Host` must be a name of this machine
(against DNS rebinding, where a foreign name resolves to 127.0.0.1), and what changes anything or opens a WebSocket must not
carry a foreign `Origin`, nor say by `Sec-Fetch-Site` that another site's page sends it. Programs such as curl send neither and are
not affected. The same checks keep foreign pages from using the session of a person who has logged in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.config.listen import is_loopback
from tailrace.ingest.responses import refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ("same-origin", "none")
"""Source: Fetch Metadata Request Headers, W3C. `none`: a person did it, no page."""


class Guard:
    """ASGI middleware. `listen_host`: what the node listens on; its name is allowed as a `Host` too."""

    def __init__(self, app: ASGIApp, listen_host: str) -> None:
        self._app = app
        self._listen_host = listen_host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(*problem)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": problem[1]})

    def _problem(self, scope: Scope) -> tuple[str, str, str, int] | None:
        """(code, message, hint, status), or None where the request is welcome."""
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            return ("invalid", "there is more than one `Host`", "send one (RFC 9112, section 3.2)", 400)
        found = self._foreign(scope)
        return None if found is None else ("forbidden", *found, 403)

    def _foreign(self, scope: Scope) -> tuple[str, str] | None:
        """(message, hint) where the request comes from another site, or by a name that is none of this node's."""
        host = header(scope["headers"], b"host")
        if host is not None and is_loopback(self._listen_host) and not self._is_own(host):
            return (f"`{host}` is not a name of this node", "open it as http://localhost or http://127.0.0.1")
        origin = header(scope["headers"], b"origin")
        harmless = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if origin is not None and not harmless and not _same_place(origin, host or ""):
            return (f"a page of `{origin}` may not use this node", "open the dashboard at the node's own address")
        site = header(scope["headers"], b"sec-fetch-site")
        if site is not None and not harmless and site not in _OWN_SITES:
            return ("a page of another site may not use this node", "open the dashboard at the node's own address")
        return None

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        if name == self._listen_host or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    return next((value.decode("latin-1") for key, value in headers if key == name), None)


def host_name(host: str) -> str:
    """`Host` without its port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _same_place(origin: str, host: str) -> bool:
    """Is `origin` (scheme://host:port) the place that `host` (host:port) names?"""
    try:
        parts = urlsplit(origin.strip().lower())
        asked = urlsplit("//" + host.strip().lower())
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return (
            bool(parts.hostname)
            and default is not None
            and ((parts.hostname, parts.port or default) == (asked.hostname, asked.port or default))
        )
    except ValueError:
        return False
