"""Requests as JSON lines, a column at a time: Arrow joins the pieces of all lines in one pass.

The joined column's bytes are the body to send, so no line is ever an object of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.window import iso

_HEX = np.frombuffer(b"".join(f"{n:02x}".encode() for n in range(256)), dtype=np.uint16)
_THREE_DIGITS = pa.array([f"{n:03d}" for n in range(1000)], pa.string())
_ROUTES = pa.array(
    [
        'Z","service":"auth","endpoint":"/login","method":"POST","status":',
        'Z","service":"web","endpoint":"/home","method":"GET","status":',
        'Z","service":"user","endpoint":"/profile","method":"GET","status":',
        'Z","service":"auth","endpoint":"/logout","method":"POST","status":',
    ],
    pa.string(),
)
SLOW_US = 600_000

# By endpoint and kind of outcome: what stands before and after a number. Kinds: fine, slow, refused by us, failed in us.
_MESSAGES = (
    (
        ("user ", " logged in"),
        ("user ", " logged in after waiting for a row lock on sessions"),
        ("login refused for user ", ": wrong password"),
        ("login failed for user ", ": sessions database does not answer"),
    ),
    (
        ("home page rendered for visitor ", ""),
        ("home page rendered slowly for visitor ", ": cache miss"),
        ("no such page, asked by visitor ", ""),
        ("template error on the home page of visitor ", ""),
    ),
    (
        ("profile of user ", " loaded"),
        ("profile of user ", " loaded slowly"),
        ("no profile for user ", ""),
        ("no connection to user-db within 1000 ms for user ", ": pool of 20 exhausted"),
    ),
    (
        ("user ", " logged out"),
        ("user ", " logged out slowly"),
        ("logout without a session by visitor ", ""),
        ("logout failed for user ", ": sessions database does not answer"),
    ),
)
_BEFORE = pa.array([before for kinds in _MESSAGES for before, _ in kinds], pa.string())
_AFTER = pa.array([after + '"}\n' for kinds in _MESSAGES for _, after in kinds], pa.string())
_LEVELS = pa.array(["INFO", "WARN", "WARN", "ERROR"], pa.string())
FINE, SLOW, REFUSED, FAILED = range(4)


@dataclass(frozen=True, slots=True)
class Requests:
    """Columns of one slot, n requests ordered by time. `at_ms`: Unix milliseconds. `response_us`: microseconds.

    `address` indexes the population, or the attackers where `hostile`. `user` is any number that belongs to the request.
    """

    at_ms: Any
    endpoint: Any
    status: Any
    response_us: Any
    address: Any
    hostile: Any
    user: Any
    trace: Any


def render(requests: Requests, population: pa.StringArray, attackers: pa.StringArray) -> memoryview:
    """All requests as newline-ended JSON lines."""
    kind = np.select(
        [requests.status >= 500, requests.status >= 400, requests.response_us >= SLOW_US], [FAILED, REFUSED, SLOW], FINE
    )
    message = requests.endpoint * 4 + kind
    seconds, second_index = np.unique(requests.at_ms // 1000, return_inverse=True)
    stamps = pa.array([iso(int(s) * 1_000_000)[:-1] for s in seconds], pa.string())
    addresses = pa.concat_arrays([population, attackers])
    address = requests.address + np.where(requests.hostile, len(population), 0)
    joined = pc.binary_join_element_wise(
        '{"timestamp":"',
        stamps.take(pa.array(second_index)),
        ".",
        _THREE_DIGITS.take(pa.array(requests.at_ms % 1000)),
        _ROUTES.take(pa.array(requests.endpoint)),
        _digits(requests.status),
        ',"response_ms":',
        _digits(requests.response_us // 1000),
        ".",
        _THREE_DIGITS.take(pa.array(requests.response_us % 1000)),
        ',"ip":"',
        addresses.take(pa.array(address)),
        '","level":"',
        _LEVELS.take(pa.array(kind)),
        '","trace_id":"',
        _hex(requests.trace),
        '","message":"',
        _BEFORE.take(pa.array(message)),
        _digits(requests.user),
        _AFTER.take(pa.array(message)),
        "",
    )
    return _text_bytes(joined)


def _digits(numbers: Any) -> pa.StringArray:
    return pa.array(numbers).cast(pa.string())


def _hex(numbers: Any) -> pa.StringArray:
    """16 hex digits each, from uint64."""
    digits = _HEX[numbers.view(np.uint8)]
    offsets = np.arange(0, 16 * len(numbers) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))


def _text_bytes(texts: pa.StringArray) -> memoryview:
    """The bytes of all texts, one behind the other, without a copy."""
    if len(texts) == 0:
        return memoryview(b"")
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)
    first, last = int(offsets[texts.offset]), int(offsets[texts.offset + len(texts)])
    return memoryview(texts.buffers()[2])[first:last]
