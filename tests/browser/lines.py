"""Log lines for the browser tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta


def at(instant: datetime, offset_s: float = 0) -> str:
    return (instant + timedelta(seconds=offset_s)).isoformat().replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


def ndjson(records: Iterable[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def traffic(start: datetime, count: int, endpoints: list[str], span_s: float = 100.0) -> list[dict[str, object]]:
    """`count` lines over `span_s`; endpoint i gets about twice what endpoint i + 1 gets. Response times have odd digits on purpose."""
    lines: list[dict[str, object]] = []
    for i in range(count):
        level = min((i + 1 & -(i + 1)).bit_length() - 1, len(endpoints) - 1)
        lines.append(
            {
                "timestamp": at(start, span_s * i / count),
                "service": "shop",
                "endpoint": endpoints[level],
                "status": 503 if i % 97 == 0 else 404 if i % 31 == 0 else 302 if i % 13 == 0 else 200,
                "response_ms": round(20 + 7.001 * level + (i * 37 % 101) / 3, 3),
                "ip": f"10.0.{i % 7}.{i % 250}",
            }
        )
    return lines
