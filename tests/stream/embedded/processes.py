"""What the test processes do: append, seal, open. Each is started with `spawn` and may be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.config.settings import StreamSettings
from tailrace.errors import Unavailable
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.embedded import EmbeddedStream, open_embedded
from tailrace.stream.base import ProducerStamp
from tailrace.testing.contracts.stream_harness import TIMEOUT_S, durable
from tailrace.testing.contracts.stream_samples import FIELDS, sample_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

SPAWN = multiprocessing.get_context("spawn")
POST_ROWS_MAX = 1500
NUMBERS_PER_PRODUCER = 10_000_000


def open_stream(folder: Path, *, file_interval_s: int = 3600) -> EmbeddedStream:
    return open_embedded(folder, StreamSettings(file_interval_s=file_interval_s), FIELDS, SystemClock())


def post_numbers(producer: int, n: int) -> range:
    """Line numbers of post `n`: every few posts a large one, so that both ways of encoding are met."""
    first = producer * NUMBERS_PER_PRODUCER + n * POST_ROWS_MAX
    return range(first, first + (POST_ROWS_MAX if n % 5 == 4 else 1 + n % 7))


def append_forever(folder: Path, producer: int, acks: Path) -> None:
    """Post after post, three in flight, to alternating shards; each acknowledged number is a line in `acks`.

    Begins with the first post that `acks` does not name, which may have been stored all the same.
    """
    stream = open_stream(folder)
    shards = [s.id for s in stream.shards()]
    known = read_acks(acks)
    n = len(known)
    out = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    flying = []
    while True:
        stamp = ProducerStamp(f"p{producer}", 1, n)
        numbers = post_numbers(producer, n)
        flying.append((n, stream.append(sample_batch(shards[n % 2], numbers, producer=stamp))))
        n += 1
        if len(flying) == 3:
            done, future = flying.pop(0)
            durable(future)
            os.write(out, f"{done:08d}\n".encode())


def read_acks(path: Path) -> list[int]:
    """Numbers of the posts that were acknowledged, in order; a process writes each with one call of 9 bytes."""
    return [int(n) for n in path.read_text().split()] if path.exists() else []


def seal_forever(folder: Path) -> None:
    """Seal every 50 ms; each time the file's time is up."""
    stream = open_stream(folder, file_interval_s=0)
    clock = SystemClock()
    while True:
        for shard in stream.shards():
            stream.seal(shard.id)
        clock.sleep(0.05)


def append_posts(folder: Path, producer: int, posts: int) -> None:
    """`posts` posts to the first shard, each waiting for its own."""
    stream = open_stream(folder)
    shard_id = stream.shards()[0].id
    for n in range(posts):
        durable(
            stream.append(
                sample_batch(shard_id, post_numbers(producer, n), producer=ProducerStamp(f"p{producer}", 1, n))
            )
        )
    stream.close()


def open_and_append(folder: Path, barrier: Any, producer: int) -> None:
    """Open at the same moment as the others, then append one line to each shard."""
    barrier.wait(TIMEOUT_S)
    stream = open_stream(folder)
    for shard in stream.shards():
        durable(stream.append(sample_batch(shard.id, [producer])))
    stream.close()


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """What an appender saw while it could not write, and after."""

    refused: int
    stored: int
    retried_as_duplicates: int


def append_with_a_full_disk(folder: Path, results: Any) -> None:
    """Append until the limit on file sizes stops it, go on for a while, then lift the limit and send all again."""
    stream = open_stream(folder)
    shard_id = stream.shards()[0].id
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    acknowledged, refused = [], []
    for n in range(60):
        stamp = ProducerStamp("p0", 1, n)
        try:
            durable(stream.append(sample_batch(shard_id, post_numbers(0, n), producer=stamp)))
            acknowledged.append(n)
        except Unavailable:
            refused.append(n)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    again = [
        durable(stream.append(sample_batch(shard_id, post_numbers(0, n), producer=ProducerStamp("p0", 1, n))))
        for n in range(60)
    ]
    stream.close()
    duplicates = sum(1 for n in acknowledged if again[n].stored == 0)
    results.put(DiskTrouble(len(refused), len(acknowledged), duplicates))


def start(target: Callable[..., None], *args: object) -> BaseProcess:
    process = SPAWN.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL, and wait until it is gone."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(TIMEOUT_S)
    assert process.exitcode == -signal.SIGKILL
