"""Milliseconds from the acknowledgement of a line until the merged view shows it, while little else goes on."""

from __future__ import annotations

import http.client
import json
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from tailrace.bench.asking import ask
from tailrace.bench.bench_node import Loader, fresh_node

POLL_S = 0.010
LOST_S = 10.0
LIGHT_LINES_PER_S = 1_000
BUSY_LINES_PER_S = 50_000
POSTS_PER_S = 10


@dataclass(frozen=True, slots=True)
class Visible:
    """One run: a number a probe, milliseconds. `query_ms`: what one poll of the view takes."""

    visible_ms: list[float]
    ack_ms: list[float]
    query_ms: list[float]


def measure(runs: int, probes: int, parent: Path | None, rate: int = LIGHT_LINES_PER_S) -> list[Visible]:
    """`runs` times `probes` probes on one fresh node, beside a load of `rate` lines a second."""
    load: dict[str, object] = {"rate": rate, "lines_per_post": rate // POSTS_PER_S, "connections": 1}
    with fresh_node(parent) as node, Loader(node.port, "load", seconds=3600, **load) as loader:
        loader.begin()
        time.sleep(2.0)
        chance = random.Random(7)
        return [_run(node.port, chance, probes, run) for run in range(runs)]


def _run(port: int, chance: random.Random, probes: int, run: int) -> Visible:
    found = Visible([], [], [])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for probe in range(probes):
        time.sleep(chance.uniform(0.02, 0.12))
        _probe(connection, f"/probe/{run}/{probe}", found)
    connection.close()
    return found


def _probe(connection: http.client.HTTPConnection, endpoint: str, found: Visible) -> None:
    """Post one line with an endpoint of its own; poll until the view has that endpoint."""
    now = datetime.now(UTC)
    line = {"timestamp": now.isoformat(), "endpoint": endpoint, "status": 200, "response_ms": 12.5, "ip": "10.0.0.1"}
    posted_s = time.monotonic()
    ask(connection, "POST", "/v1/logs", json.dumps(line).encode())
    acked_s = time.monotonic()
    found.ack_ms.append(1000 * (acked_s - posted_s))
    asked = {"where": f"endpoint = '{endpoint}'", "from": (now - timedelta(minutes=1)).isoformat()}
    path = f"/v1/views/endpoint_health?{urlencode(asked)}"
    while True:
        asked_s = time.monotonic()
        answer = json.loads(ask(connection, "GET", path))
        answered_s = time.monotonic()
        found.query_ms.append(1000 * (answered_s - asked_s))
        if answer["rows"]:
            found.visible_ms.append(1000 * (answered_s - acked_s))
            return
        if answered_s - acked_s > LOST_S:
            raise RuntimeError(f"an acknowledged line is not in the view after {LOST_S:.0f} s: {line}")
        time.sleep(max(0.0, POLL_S - (answered_s - asked_s)))


def quantile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
