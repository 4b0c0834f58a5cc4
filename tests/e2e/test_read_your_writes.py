"""What was acknowledged before a view is asked is in its answer, whether anybody looked before or not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace.testing.node import RunningNode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(tmp_path_factory.mktemp("node") / "data") as running:
        yield running


def lines(count: int, minute: str, filler: int = 0) -> bytes:
    line = f'{{"timestamp":"{minute}:01Z","endpoint":"/a","status":200,"message":"{"m" * filler}"}}\n'
    return line.encode() * count


def requests_in(node: RunningNode, minute: str) -> int:
    answer = node.view("overall_health", **{"from": f"{minute}:00Z", "to": f"{minute}:50Z"})
    return sum(row[answer["columns"].index("requests")] for row in answer["rows"])


def test_each_post_is_in_the_next_answer(node: RunningNode) -> None:
    chance = random.Random(1)
    for round_ in range(40):
        minute, count = f"2026-05-01T00:{round_:02}", chance.randint(1, 500)
        assert node.post_logs(lines(count, minute)).json["accepted"] == count
        assert requests_in(node, minute) == count


def test_so_is_more_than_one_step_reads(node: RunningNode) -> None:
    minute = "2026-05-02T00:00"
    body = lines(30_000, minute, filler=700)
    with ThreadPoolExecutor(3) as posting:
        answers = list(posting.map(lambda _: node.post_logs(body, key="one"), range(3)))
    assert [answer.json["accepted"] for answer in answers] == [30_000] * 3
    assert requests_in(node, minute) == 90_000
