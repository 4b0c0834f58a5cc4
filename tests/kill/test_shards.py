"""Shards split and merged back under load while processes are killed: every line once, each key's lines in their order.

A longer run, up to 16 shards, at other moments: TAILRACE_RESHARD_S=600 TAILRACE_KILL_SEED=8 make test ARGS=tests/kill/test_shards.py
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.node import RunningNode, kill
from tests.kill.ordered import KEYS, OrderedClients, key_of
from tests.kill.test_kill import FAST, SEED, until

pytestmark = [pytest.mark.kill, pytest.mark.slow]

CLIENTS = 3
AT_LEAST_S = float(os.environ.get("TAILRACE_RESHARD_S", "0"))
"""Go on for so long; at least one time up to the most shards and down to one."""
SHARDS_MOST = 16 if AT_LEAST_S else 5
KILL_SHARE = 0.12 if AT_LEAST_S else 0.25
OUT_OF_ORDER = """
SELECT count(*) AS n FROM (
    SELECT response_ms, row_number() OVER (PARTITION BY endpoint ORDER BY _shard, _offset) - 1 AS place FROM logs
) WHERE response_ms <> place
"""
"""Lines that do not stand where they should among those of their key. Numbers of children are greater than their parents'."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    config = tmp_path / "tailrace.toml"
    config.write_text(FAST)
    running = RunningNode(tmp_path / "data", config=config)
    running.start()
    yield running
    running.kill_all()


class Reshaper:
    """Splits until there are enough open shards, merges until there is one, again and again; kills what it happens to think of."""

    def __init__(self, node: RunningNode, chance: random.Random) -> None:
        self._node = node
        self._chance = chance
        self._growing = True
        self.turns = 0
        self.changes = 0
        self.kills = 0

    def step(self) -> None:
        """One split or merge; now and then a process is killed while it is under way."""
        shards = self._open_shards()
        if self._growing and len(shards) >= SHARDS_MOST:
            self._growing = False
        elif not self._growing and len(shards) == 1:
            self._growing, self.turns = True, self.turns + 1
        path, body = self._split(shards) if self._growing else self._merge(shards)
        killer: threading.Thread | None = None
        if self._chance.random() < KILL_SHARE:
            role, wait_s = self._chance.choice(("node", "node", "ingest", "batch")), self._chance.uniform(0.0, 0.08)
            killer = threading.Thread(target=self._kill, args=(role, wait_s))
            killer.start()
        try:
            answer = self._node.request("POST", path, body)
        except OSError:
            answer = None
        if killer is not None:
            killer.join()
        if answer is not None and answer.status == 200:
            self.changes += 1
        elif answer is not None and answer.status != 409:
            # 409: what a dead process had begun was finished first.
            assert answer.status in (429, 503), answer.body

    def _split(self, shards: list[dict[str, Any]]) -> tuple[str, bytes]:
        return f"/v1/shards/{max(shards, key=lambda s: s['share'])['id']}/split", b"{}"

    def _merge(self, shards: list[dict[str, Any]]) -> tuple[str, bytes]:
        at = self._chance.randrange(len(shards) - 1)
        return f"/v1/shards/{shards[at]['id']}/merge", json.dumps({"adjacent": shards[at + 1]["id"]}).encode()

    def _open_shards(self) -> list[dict[str, Any]]:
        """By their range; waits for a node that is being started again."""
        found: list[dict[str, Any]] = []

        def ask() -> bool:
            found[:] = [s for s in self._node.get("/v1/shards").json["shards"] if s["state"] == "open"]
            return True

        until(self._node, ask)
        return sorted(found, key=lambda s: int(s["hash_first"]))

    def _kill(self, role: str, wait_s: float) -> None:
        time.sleep(wait_s)
        if pids := self._node.pids().get(role):
            kill(self._chance.choice(pids))
            self.kills += 1


def test_splits_merges_and_kills_under_load_lose_double_and_misplace_nothing(node: RunningNode) -> None:
    reshaper = Reshaper(node, random.Random(SEED))
    deadline_s = time.monotonic() + AT_LEAST_S
    with OrderedClients(node.port, CLIENTS) as clients:
        while not reshaper.turns or not reshaper.kills or time.monotonic() < deadline_s:
            reshaper.step()
    print(f"{reshaper.changes} splits and merges, {reshaper.kills} kills, {sum(clients.posts) * KEYS} lines")
    assert clients.complaints == []
    assert min(clients.posts) > 0
    node.wait_ready()
    closed = [shard for shard in node.get("/v1/shards").json["shards"] if shard["state"] == "closed"]
    assert len(closed) >= 2 * (SHARDS_MOST - 1), "up to the most and down to one"
    _assert_all_once_and_in_order(node, clients.posts)


def _assert_all_once_and_in_order(node: RunningNode, posts: list[int]) -> None:
    """Batch covers one shard after the other, so what a long run leaves takes a while."""
    lines = sum(posts) * KEYS

    def covered() -> bool:
        time.sleep(0.2)
        state = node.pipeline()
        lags = [shard["batch_lag_lines"] or shard["speed_lag_lines"] for shard in state["shards"]]
        return not any(lags) and bool(state["lake"]["rows"] == state["ledger"]["stored"] == state["ledger"]["batch"])

    until(node, covered, 120 + 5 * AT_LEAST_S)
    state = node.pipeline()
    assert state["ledger"]["balanced"], state["ledger"]
    assert state["ledger"]["stored"] == state["ledger"]["lake"] == state["ledger"]["batch"] == lines
    assert [view for view in state["views"] if view["drift_rows"]] == []
    answer = node.view("endpoint_health", total="true")
    at, count = answer["columns"].index("endpoint"), answer["columns"].index("requests")
    assert {row[at]: row[count] for row in answer["rows"]} == {
        key_of(client, key): number for client, number in enumerate(posts) for key in range(KEYS)
    }
    query = node.request("POST", "/v1/query", json.dumps({"sql": OUT_OF_ORDER}).encode())
    assert query.status == 200, query.body
    assert query.json["rows"] == [[0]]
