"""`tailrace.Producer`: nothing raises into the program, memory is bounded as said, and what was taken arrives exactly once."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from tailrace import Producer
from tailrace.errors import Invalid
from tests.ship.node import Node, flaky, running

NOWHERE = "http://127.0.0.1:1"


def records(node: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node.lines]


def test_records_arrive_with_their_fields_and_a_time() -> None:
    with running() as node:
        with Producer(node.url, service="shop", fields={"host": "web-1"}, token="key") as producer:
            assert producer.send(endpoint="/pay", status=503, response_ms=12.5)
            assert producer.send({"service": "other", "timestamp": 5, "message": "a"}, message="b")
            assert producer.flush(30)
            counts = producer.counts()
        [first, second] = records(node)
        assert first.pop("timestamp").endswith("Z")
        assert first == {"service": "shop", "host": "web-1", "endpoint": "/pay", "status": 503, "response_ms": 12.5}
        assert second == {"service": "other", "host": "web-1", "timestamp": 5, "message": "b"}
        assert (counts.sent, counts.acked, counts.failed) == (2, 2, 0)
        assert node.headers[0]["Authorization"] == "Bearer key"


def test_any_value_can_be_sent() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ZeroDivisionError

    told: list[str] = []
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with running() as node:
        with Producer(node.url, on_error=told.append) as producer:
            values = [{1, 2}, object, 1 << 80, "\ud800", b"\xff", ValueError("x"), float("nan"), {1: 2}, {(1, 2): 3}]
            assert all(producer.send(value=value) for value in values)
            assert producer.send({"a": 1}, ключ="\0")
            assert not producer.send(value=Broken())
            producer.send(value=deep)
            counts = producer.close(30)
        assert counts.sent == counts.acked + counts.failed
        assert counts.failed >= 1
        assert "ZeroDivisionError" in told[0]
        assert len(records(node)) == counts.acked


def test_every_record_of_many_threads_arrives_once() -> None:
    def run(number: int) -> None:
        for n in range(100):
            producer.send(thread=number, n=n)

    faults = itertools.cycle(["forgets", "503", "", "away"])
    with running(lambda: next(faults)) as node:
        producer = Producer(node.url, batch_bytes=4_000, linger_ms=5, on_error=lambda text: None)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert producer.flush(60)
        producer.close()
        found = Counter((record["thread"], record["n"]) for record in records(node))
        assert found == Counter((number, n) for number in range(4) for n in range(100))
        assert (node.again > 0, node.wrong) == (True, [])
        assert producer.counts().retries > 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_is_dropped_is_what_was_said(policy: Any) -> None:
    told: list[str] = []
    gate = threading.Event()
    line = len('{"timestamp":0,"n":10}') + 1
    with running(lambda: "" if gate.is_set() else "503") as node:
        producer = Producer(
            node.url,
            buffer_bytes=10 * line,
            batch_bytes=10 * line,
            linger_ms=60_000,
            when_full=policy,
            on_error=told.append,
        )
        for n in range(100):
            producer.try_send(timestamp=0, n=n + 100)
        gate.set()
        counts = producer.close(30)
        assert counts.sent == 100
        assert counts.acked + counts.dropped == 100
        assert counts.dropped > 0
        assert "raise buffer_bytes" in " ".join(told)
        arrived = [record["n"] - 100 for record in records(node)]
        assert arrived == sorted(arrived)
        assert len(arrived) == counts.acked
        if policy == "drop_oldest":
            assert arrived[-1] == 99
        else:
            assert arrived[0] == 0


def test_to_block_is_to_wait_for_room() -> None:
    gate = threading.Event()
    with running(lambda: "" if gate.is_set() else "503") as node:
        producer = Producer(
            node.url, buffer_bytes=200, batch_bytes=100, linger_ms=0, when_full="block", on_error=lambda text: None
        )
        thread = threading.Thread(target=lambda: [producer.send(n=n, timestamp=0) for n in range(200)])
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "200 records do not fit"
        assert not producer.try_send(text="x" * 150)
        gate.set()
        thread.join(60)
        assert producer.close(30).acked == 200
        assert [record["n"] for record in records(node)] == list(range(200))


def test_a_record_larger_than_the_buffer_is_dropped_and_told() -> None:
    told: list[str] = []
    producer = Producer(NOWHERE, buffer_bytes=1_000, batch_bytes=1_000, on_error=told.append)
    assert not producer.send(text="x" * 2_000)
    assert producer.close(0).dropped == 1
    assert told


def test_under_asyncio_nothing_holds_up_the_loop() -> None:
    async def run(url: str) -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        async with Producer(url, buffer_bytes=300, batch_bytes=200, linger_ms=1, when_full="block") as producer:
            for n in range(100):
                assert await producer.asend(n=n)
            assert await producer.aflush(30)
        counting.cancel()
        return turns

    with running() as node:
        assert asyncio.run(run(node.url)) > 1
        assert [record["n"] for record in records(node)] == list(range(100))


def test_a_node_that_is_away_is_told_and_closing_ends_in_time() -> None:
    told: list[str] = []
    producer = Producer(NOWHERE, linger_ms=0, on_error=told.append)
    producer.send(n=1)
    assert not producer.flush(0.2)
    counts = producer.close(0.1)
    assert (counts.sent, counts.failed) == (1, 1)
    assert counts.retries > 0
    assert told[0].startswith("sending again: no answer")
    assert "not acknowledged when the producer was closed" in told[-1]
    assert producer.close().failed == 1


def test_a_refusal_is_counted_and_told() -> None:
    told: list[str] = []
    with running(lambda: "400") as node, Producer(node.url, on_error=told.append) as producer:
        producer.send(n=1)
        assert producer.flush(30)
        assert producer.counts().failed == 1
    assert told == ["1 records were refused: 400: not now"]


@pytest.mark.parametrize(("url", "token"), [(NOWHERE, "key\nof two lines"), ("http://shop..example:80", "key")])
def test_what_can_never_be_sent_is_told_and_ends_nothing(url: str, token: str) -> None:
    told: list[str] = []
    with Producer(url, token=token, on_error=told.append) as producer:
        for _ in range(2):
            assert producer.send(n=1)
            assert producer.flush(30)
        counts = producer.counts()
    assert (counts.sent, counts.failed) == (2, 2)
    assert "cannot be sent" in told[0]


def test_what_looks_up_a_host_is_imported_before_anything_forks() -> None:
    text = "import sys, tailrace.producers.client.producer; sys.exit('encodings.idna' not in sys.modules)"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


def test_a_callback_that_raises_disturbs_nothing() -> None:
    def broken(text: str) -> None:
        raise KeyError(text)

    with running(flaky(4)) as node, Producer(node.url, on_error=broken, linger_ms=0, batch_bytes=100) as producer:
        for n in range(30):
            producer.send(n=n)
        assert producer.flush(60)
        assert len(node.lines) == 30


def test_posts_that_are_too_large_are_divided() -> None:
    with running(body_bytes_max=2_000) as node, Producer(node.url) as producer:
        for n in range(200):
            producer.send(n=n)
        assert producer.flush(30)
        assert sorted(record["n"] for record in records(node)) == list(range(200))


def test_compression_and_the_key() -> None:
    with running() as node, Producer(node.url, compression="gzip", key_field="user") as producer:
        producer.send(user=1)
        assert producer.flush(30)
        [(path, body)] = node.posts.values()
        assert json.loads(gzip.decompress(body))["user"] == 1
        assert path == "/v1/logs?format=json&key_field=user"


@pytest.mark.parametrize(
    "options",
    [{"url": "ftp://x"}, {"when_full": "explode"}, {"batch_bytes": 0}, {"linger_ms": -1}, {"compression": "rar"},
     {"buffer_bytes": 10, "batch_bytes": 100}],
)  # fmt: skip
def test_arguments_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Producer(**options)


def program(text: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "URL": url}, capture_output=True, text=True, timeout=60
    )


def test_what_is_on_the_way_is_sent_when_the_interpreter_ends() -> None:
    text = "import os, tailrace\np = tailrace.Producer(os.environ['URL'], linger_ms=60_000)\n[p.send(n=n) for n in range(100)]"
    with running() as node:
        done = program(text, node.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert [record["n"] for record in records(node)] == list(range(100))


@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
def test_after_a_fork_each_process_sends_its_own_once(how: str) -> None:
    text = f"""
import multiprocessing, os, warnings
import tailrace
warnings.simplefilter("ignore")
p = tailrace.Producer(os.environ["URL"], linger_ms=60_000)
p.send(who="parent", n=0)
def child(number):
    for n in range(50):
        p.send(who=f"child {{number}}", n=n)
if "{how}" == "fork":
    for number in range(3):
        pid = os.fork()
        if not pid:
            child(number)
            raise SystemExit
        os.waitpid(pid, 0)
else:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(number,)) for number in range(3)]
    [each.start() for each in children]
    [each.join() for each in children]
p.send(who="parent", n=1)
"""
    with running() as node:
        done = program(text, node.url)
        assert (done.returncode, done.stderr) == (0, "")
        found = Counter((record["who"], record["n"]) for record in records(node))
        expected = [("parent", 0), ("parent", 1), *((f"child {number}", n) for number in range(3) for n in range(50))]
        assert found == Counter(expected)
        assert len({stamp.split(";")[0] for stamp in node.posts}) == 4


def test_the_package_itself_stays_light() -> None:
    text = (
        "import sys, tailrace\nprint([m for m in sys.modules if m.startswith(('tailrace.', 'msgspec', 'pyarrow'))])\n"
    )
    assert program(text, "").stdout.strip() == "[]"
    text = "import sys\nfrom tailrace import Producer, LogHandler\nprint([m for m in sys.modules if m.split('.')[0] in " \
        "('pyarrow', 'numpy', 'duckdb', 'starlette', 'zstandard')])\n"  # fmt: skip
    assert program(text, "").stdout.strip() == "[]"
