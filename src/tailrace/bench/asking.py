"""How long a node takes to answer: one connection that stays open, the same request many times."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

TIMES = 15


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `first_ms`: the first time; `ms`: those after it. `rows`: of the answer."""

    name: str
    first_ms: float
    ms: list[float]
    rows: int


class Asker:
    """Requests on one connection. A context manager."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def sql(self, name: str, statement: str, times: int = TIMES) -> Asked:
        return self._times(name, "POST", "/v1/query", json.dumps({"sql": statement}).encode(), times)

    def rows(self, statement: str) -> list[list[Any]]:
        answer = json.loads(ask(self._connection, "POST", "/v1/query", json.dumps({"sql": statement}).encode()))
        found: list[list[Any]] = answer["rows"]
        return found

    def view(self, name: str, view: str, times: int = TIMES, **params: object) -> Asked:
        """`_from` stands for the parameter `from`."""
        asked = urlencode({k.lstrip("_"): str(v) for k, v in params.items()})
        return self._times(name, "GET", f"/v1/views/{view}?{asked}", None, times)

    def _times(self, name: str, method: str, path: str, body: bytes | None, times: int) -> Asked:
        ms, answer = [], {}
        for _ in range(times + 1):
            started_s = time.monotonic()
            data = ask(self._connection, method, path, body)
            ms.append(1000 * (time.monotonic() - started_s))
            answer = json.loads(data)
        return Asked(name, ms[0], ms[1:], len(answer["rows"]))


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    """The body of a 200. Raises RuntimeError for any other answer."""
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    data = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path} answered {response.status}: {data.decode()}")
    return data
