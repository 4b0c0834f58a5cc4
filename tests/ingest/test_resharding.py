"""Posts whose shards are split or merged while they are on their way: each line once, in the order of its key."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.sequence import offset_of
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.memory.stream import MemoryStream
from tailrace.stream.base import Appended, ReadRequest, ShardBatch
from tests.ingest.serving import ingesting, line, settings

BODY = b"".join(line(n, f"/e{n % 9}") for n in range(200)) + b"bad\n"


class RestlessStream(MemoryStream):
    """Splits or merges the shard of a batch just before the batch arrives, `moves` times."""

    def __init__(self) -> None:
        super().__init__(DEFAULT_FIELDS, 2, SystemClock())
        self.moves = 0
        self.merging = False

    def append(self, batch: ShardBatch) -> Future[Appended]:
        if self.moves:
            self.moves -= 1
            self._move(batch.shard_id)
        return super().append(batch)

    def _move(self, shard_id: str) -> None:
        ordered = sorted((s for s in self.shards() if not s.closed), key=lambda s: s.hash_first)
        at = next((i for i, s in enumerate(ordered) if s.id == shard_id), None)
        if at is None:
            return
        if self.merging and len(ordered) > 1:
            self.merge(ordered[at].id, ordered[at - 1 if at else 1].id)
        else:
            self.split(shard_id)


@pytest.fixture
def stream() -> RestlessStream:
    return RestlessStream()


@pytest.fixture
def url(stream: RestlessStream, tmp_path: Path) -> Iterator[str]:
    with ingesting(stream, settings(tmp_path)) as address:
        yield address + "/v1/logs"


def stored(stream: MemoryStream) -> list[dict[str, Any]]:
    """All lines, shard by shard, in the order of their offsets."""
    blocks = [b for s in stream.shards() for b in stream.read(ReadRequest(s.id, 0, with_raw=True))]
    return [
        {**columns, **raw}
        for block in blocks
        if block.columns is not None and block.raw is not None
        for columns, raw in zip(block.columns.to_pylist(), block.raw.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("merging", [False, True])
@pytest.mark.parametrize("stamp", [None, "web-1;0;1"])
@pytest.mark.parametrize("moves", [1, 2, 3, 5])
def test_every_line_is_stored_once_and_in_the_order_of_its_key(
    url: str, stream: RestlessStream, moves: int, stamp: str | None, *, merging: bool
) -> None:
    stream.moves, stream.merging = moves, merging
    headers = {"Tailrace-Producer": stamp} if stamp else {}
    answer = httpx.post(url, content=BODY, headers=headers)
    assert answer.status_code == 200
    found = answer.json()
    assert stream.moves == 0
    assert (found["accepted"], found["dead_lettered_total"], found["deduplicated"]) == (200, 1, 0)
    rows = stored(stream)
    assert {row["raw"] + b"\n" for row in rows} == set(BODY.splitlines(keepends=True))
    assert len(rows) == 201
    for key in {row["endpoint"] for row in rows}:
        numbers = [row["status"] for row in rows if row["endpoint"] == key]
        assert numbers == sorted(numbers)
    shards = {shard.id: shard for shard in stream.shards()}
    ends = {name: stream.end(name).next_offset for name in shards if stream.end(name).next_offset}
    assert {name: offset_of(shards[name], n) + 1 for name, n in found["position"].items()} == ends
    if stamp:
        again = httpx.post(url, content=BODY, headers=headers).json()
        assert (again["accepted"], again["dead_lettered_total"], again["deduplicated"]) == (0, 0, 201)


def test_shards_that_never_hold_still_are_no_false_yes(url: str, stream: RestlessStream) -> None:
    stream.moves = 1_000
    answer = httpx.post(url, content=BODY, params={"key": "one"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "again" in answer.json()["error"]["message"]
    assert stored(stream) == []
    stream.moves = 0
    assert httpx.post(url, content=BODY, params={"key": "one"}).json()["accepted"] == 200
    assert len(stored(stream)) == 201
