"""Ready-made request bodies: JSON lines of exactly 201 bytes, whose times are moved to now just before they are sent.

Deterministic but for the stamps: ten endpoints of eight services, 51,200 addresses in 1,024 networks, response times
that are lognormal. Trace ids are drawn anew for each post, so that no line is ever sent twice and nothing compresses better
than it would in earnest.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import numpy as np

LINE_BYTES = 201
SPREAD_MS = 100
"""A post holds the lines of the last 100 ms."""
ENDPOINTS = {
    "/login": "auth",
    "/home": "web",
    "/profile": "user",
    "/logout": "auth",
    "/cart": "shop",
    "/search": "search",
    "/api/items": "shop",
    "/api/pay": "pay",
    "/static/a": "cdn",
    "/health": "ops",
}
_STAMP = slice(14, 38)
_TRACE = slice(52, 68)
_MESSAGE = "request served by worker {:02d} in zone b of region north two, cache warm, no retry, see runbook"
_HEX = np.frombuffer(b"".join(b"%04x" % i for i in range(65536)), np.uint32)
_DIGITS = np.frombuffer(b"".join(b"%03d" % i for i in range(1000)), np.uint8).reshape(1000, 3)


def pool(bodies: int, lines_per_body: int, seed: int = 7, endpoints: int = 0) -> list[Any]:
    """`bodies` arrays of uint8 with shape (lines_per_body, 201); the bytes of one are one request body.

    `endpoints`: so many of them, all as frequent; 0: the ten of a small shop, some of them rare.
    """
    chance = random.Random(seed)
    addresses = [f"10.{a}.{b}.{c}" for a in range(4) for b in range(256) for c in range(50)]
    names = [f"/api/v1/{n:05d}" for n in range(endpoints)] or list(ENDPOINTS)
    made = []
    for _ in range(bodies):
        text = b"".join(_line(chance, names, addresses) for _ in range(lines_per_body))
        made.append(np.frombuffer(bytearray(text), np.uint8).reshape(lines_per_body, LINE_BYTES))
    return made


def _line(chance: random.Random, names: list[str], addresses: list[str]) -> bytes:
    endpoint = chance.choice(names) if len(names) != 10 else names[min(int(chance.expovariate(0.5)), len(names) - 1)]
    status = chance.choices((200, 201, 304, 404, 500, 503), (80, 5, 5, 5, 3, 2))[0]
    response_ms = round(chance.lognormvariate(3.5, 0.8), 1)
    head = (
        f'{{"timestamp":"2026-01-01T00:00:00.000Z","trace_id":"{chance.getrandbits(64):016x}",'
        f'"service":"{ENDPOINTS.get(endpoint, "api")}","endpoint":"{endpoint}","method":"GET","status":{status},'
        f'"response_ms":{response_ms},"ip":"{chance.choice(addresses)}","message":"'
    )
    room = LINE_BYTES - len(head) - 3
    return (head + _MESSAGE.format(chance.randrange(40))[:room].ljust(room, ".") + '"}\n').encode()


def freshen(body: Any, now_ms: int, chance: Any, spread_ms: int = SPREAD_MS, ids: int = 0) -> None:
    """Set the stamps of `body` to the `spread_ms` that end at `now_ms` (ascending), and draw new trace ids. In place.

    `ids`: trace ids are drawn from so many; 0: each is new.
    """
    count = len(body)
    stamps = now_ms - spread_ms + 1 + np.arange(count) * spread_ms // count
    for second in range(int(stamps[0]) // 1000, int(stamps[-1]) // 1000 + 1):
        first, end = np.searchsorted(stamps, (second * 1000, second * 1000 + 1000))
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z").encode()
        body[first:end, _STAMP] = np.frombuffer(text, np.uint8)
    body[:, _STAMP.start + 20 : _STAMP.start + 23] = _DIGITS[stamps % 1000]
    drawn = (
        chance.integers(ids, size=count, dtype=np.uint64) if ids else np.frombuffer(chance.bytes(8 * count), np.uint64)
    )
    body[:, _TRACE] = _HEX[drawn.view(np.uint16)].view(np.uint8).reshape(count, 16)


def mark(body: Any, token: bytes) -> Any:
    """A copy of `body` with `token`, at most six bytes, as the last word of its first line's message."""
    marked = body.copy()
    room = slice(LINE_BYTES - 3 - len(token) - 1, LINE_BYTES - 3)
    marked[0, room] = np.frombuffer(b" " + token, np.uint8)
    return marked
