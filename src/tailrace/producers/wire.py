"""One connection to a node for posts of lines, and what became of each: the part that `produce`, `ship` and `Producer`
have in common.

Used by one thread at a time. Nothing is sent again here; what the answer means for that is in `Reply.outcome`.
"""

from __future__ import annotations

# Looked up by name when a host is: a fork while another thread imports it would leave a child that never finds it.
import encodings.idna  # noqa: F401
import http.client
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlencode, urlsplit

import msgspec

from tailrace.errors import Invalid
from tailrace.runtime.unreadable import UNREADABLE

TIMEOUT_S = 30.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class Outcome(Enum):
    """ACKED: durable. AGAIN: send the same once more, later. TOO_LARGE: send less at once. REFUSED: no retry helps."""

    ACKED = "acked"
    AGAIN = "again"
    TOO_LARGE = "too large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` 0: no answer. The three counts are lines, of an acknowledged post. `problem`: why it was not acknowledged."""

    outcome: Outcome
    status: int = 0
    accepted: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0
    problem: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where posts go. `folder`: the path before `/v1`, empty or with a slash at its beginning only."""

    secure: bool
    host: str
    port: int
    folder: str

    @property
    def url(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{name}:{self.port}{self.folder}"

    @property
    def local(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


class _Acknowledged(msgspec.Struct, frozen=True):
    accepted: int
    dead_lettered_total: int = 0
    deduplicated: int = 0


def parse_address(url: str) -> Address:
    """Raises Invalid for what is no address of a node."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Invalid(f"`{url}` is no address to send to", hint="for example http://127.0.0.1:8080")
    secure = parts.scheme == "https"
    return Address(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))


class Wire:
    """A keep-alive connection, opened when it is first needed. `params`: of the address's query. `headers`: of every post."""

    def __init__(self, address: Address, params: dict[str, str], headers: dict[str, str]) -> None:
        self._path = f"{address.folder}/v1/logs" + (f"?{urlencode(params)}" if params else "")
        self._headers = headers
        connect = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
        self._connection = connect(address.host, address.port, timeout=TIMEOUT_S)

    def send(self, body: bytes | memoryview, stamp: str) -> Reply:
        """One attempt. `stamp`: `ID;EPOCH;N`, or empty."""
        headers = {**self._headers, "Tailrace-Producer": stamp} if stamp else self._headers
        try:
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Reply(Outcome.AGAIN, problem=f"no answer: {str(error) or type(error).__name__}")
        except ValueError as error:  # a key or a host that cannot be written into a request
            self._connection.close()
            return Reply(Outcome.REFUSED, problem=f"it cannot be sent: {error}")
        return _reply(response.status, response.getheader("Retry-After"), answer)

    def close(self) -> None:
        self._connection.close()


def _reply(status: int, retry_after: str | None, body: bytes) -> Reply:
    if status == 200:
        try:
            found = msgspec.json.decode(body, type=_Acknowledged)
        except UNREADABLE as error:
            return Reply(Outcome.REFUSED, status, problem=f"200 with an answer that does not read: {error}")
        return Reply(Outcome.ACKED, status, found.accepted, found.dead_lettered_total, found.deduplicated)
    problem = f"{status}: {_message(body)}"
    if status == 413:
        return Reply(Outcome.TOO_LARGE, status, problem=problem)
    if status in _AGAIN:
        return Reply(Outcome.AGAIN, status, problem=problem, retry_after_s=_seconds(retry_after))
    return Reply(Outcome.REFUSED, status, problem=problem)


def _message(body: bytes) -> str:
    """The message of the one error shape, or the body's beginning."""
    try:
        error = msgspec.json.decode(body)["error"]
        return f"{error['message']} ({error['hint']})" if error.get("hint") else str(error["message"])
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return body[:200].decode("utf-8", "backslashreplace")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.replace(".", "", 1).isdigit() else None
