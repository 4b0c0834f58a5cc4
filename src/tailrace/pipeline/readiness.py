"""Whether a node answers: asked over HTTP, as its users ask."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from tailrace.runtime.unreadable import UNREADABLE

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """`reason`: what it still waits for, for people; empty when ready."""

    ready: bool
    reason: str = ""


def ask(url: str) -> Readiness:
    """GET /readyz; never raises."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Readiness(False, str(error) or type(error).__name__)
    finally:
        connection.close()
    return Readiness(True) if response.status == 200 else Readiness(False, _message(body))


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (*UNREADABLE, KeyError, TypeError):
        return "it does not answer yet"
