"""CPU, latency and WAL size of the embedded stream under appends from several processes, with readers beside them.

    python benchmarks/stream_append.py --processes 2 --rate 250000 --seconds 20 --readers 2

Posts have `--rows` (10,000) lines of 201 bytes, their columns decoded beforehand: what is measured is split, encode, commit,
checkpoint and (apart) polling and decoding by readers. `--rate 0`: as fast as it goes,
with `--ahead` posts of a process in flight.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import random
import resource
import shutil
import tempfile
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tailrace.config.settings import StreamSettings
from tailrace.model.fields import DEFAULT_FIELDS, RAW_SCHEMA
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.embedded import open_embedded
from tailrace.stream.base import ProducerStamp, ReadRequest
from tailrace.stream.partitioning import split

FIELDS = DEFAULT_FIELDS


def post(seed: int, rows_count: int) -> tuple[pa.Table, pa.Table]:
    """Columns and raw lines of one post."""
    chance = random.Random(seed)
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    rows, lines = [], []
    for number in range(rows_count):
        at = start + timedelta(microseconds=number * 20_000)
        record = {
            "timestamp": at.isoformat().replace("+00:00", "Z"),
            "service": f"web-{chance.randrange(5)}",
            "endpoint": chance.choice(["login", "home", "profile", "logout"]),
            "method": "GET",
            "status": chance.choices([200, 201, 404, 503], [90, 4, 4, 2])[0],
            "response_ms": round(chance.lognormvariate(4, 0.6), 3),
            "ip": f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}",
            "level": "info",
        }
        room = 201 - len(json.dumps(record, separators=(",", ":"))) - len(',"message":""')
        record["message"] = ("request served by the node " * 9)[: max(room, 0)]
        lines.append(json.dumps(record, separators=(",", ":")).encode())
        rows.append(record | {"verdict": 0, "timestamp": at, "response_ms": Decimal(str(record["response_ms"]))})
    raw = pa.table([pa.array(lines, pa.binary()), pa.nulls(rows_count, pa.string())], schema=RAW_SCHEMA)
    return pa.Table.from_pylist(rows, schema=FIELDS.block_schema()), raw


def append(
    folder: Path, number: int, rows: int, ahead: int, rate: float, start_s: float, seconds: float, results: Any
) -> None:
    posts = [post(number * 100 + i, rows) for i in range(4)]
    stream = open_embedded(folder, StreamSettings(), FIELDS, SystemClock())
    shards = stream.shards()
    time.sleep(max(start_s - time.time(), 0))
    cpu, system = time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    latencies: list[float] = []
    flying: deque[list[Any]] = deque()
    sent, split_s = 0, 0.0
    while time.monotonic() - began < seconds:
        if rate:
            time.sleep(max(began + sent * rows / rate - time.monotonic(), 0))
        columns, raw = posts[sent % 4]
        at = time.monotonic()
        before = time.thread_time()
        batches = split(columns, raw, columns["endpoint"], shards, range(rows), ProducerStamp(f"p{number}", 1, sent))
        split_s += time.thread_time() - before
        futures = [stream.append(b) for b in batches]
        for future in futures:
            future.add_done_callback(partial(_note, latencies, at))
        flying.append(futures)
        sent += 1
        if len(flying) > ahead:
            for future in flying.popleft():
                future.result()
    stream.close()
    cpu = time.process_time() - cpu
    used = resource.getrusage(resource.RUSAGE_SELF)
    faults, system_s = used.ru_minflt - system.ru_minflt, used.ru_stime - system.ru_stime
    elapsed_s = time.monotonic() - began
    results.put(("append", number, sent * rows, cpu, split_s, sorted(latencies), elapsed_s, system_s, faults))


def _note(latencies: list[float], sent_at_s: float, _: object) -> None:
    latencies.append(time.monotonic() - sent_at_s)


def read(folder: Path, number: int, until_s: float, results: Any) -> None:
    stream = open_embedded(folder, StreamSettings(), FIELDS, SystemClock(), read_only=True)
    position = {s.id: 0 for s in stream.shards()}
    lines, polls, cpu = 0, 0, time.process_time()
    while time.time() < until_s:
        for shard_id in position:
            polls += 1
            if stream.end(shard_id).next_offset == position[shard_id]:
                continue
            for block in stream.read(ReadRequest(shard_id, position[shard_id])):
                position[shard_id] = block.last_offset + 1
                lines += block.count
        time.sleep(0.04)
    results.put(("read", number, lines, time.process_time() - cpu, polls, [], 0.0))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--readers", type=int, default=2)
    options.add_argument("--rate", type=float, default=250_000, help="lines a second of all processes; 0: no limit")
    options.add_argument("--rows", type=int, default=10_000, help="lines a post")
    options.add_argument("--ahead", type=int, default=3, help="posts in flight a process")
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--seal-s", type=float, default=5)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stream-bench-"))
    try:
        run(folder / "logs", chosen)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, chosen: argparse.Namespace) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    sealer = open_embedded(folder, StreamSettings(), FIELDS, SystemClock())
    start_s = time.time() + 6
    end_s = start_s + chosen.seconds
    rate = chosen.rate / chosen.processes
    workers = [
        spawn.Process(
            target=append, args=(folder, n, chosen.rows, chosen.ahead, rate, start_s, chosen.seconds, results)
        )
        for n in range(chosen.processes)
    ] + [spawn.Process(target=read, args=(folder, n, end_s + 1, results)) for n in range(chosen.readers)]
    for worker in workers:
        worker.start()
    gathered: list[Any] = []
    wal_max, sealed_at = 0, time.time()
    while len(gathered) < len(workers):
        try:
            gathered.append(results.get(timeout=0.2))
        except queue.Empty:
            wal_max = max([wal_max, *(p.stat().st_size for p in folder.glob("*/*-wal"))])
            if time.time() - sealed_at > chosen.seal_s:
                sealed_at = time.time()
                for shard in sealer.shards():
                    sealer.seal(shard.id)
    for worker in workers:
        worker.join()
    report(folder, gathered, wal_max)
    sealer.close()


def report(folder: Path, gathered: list[Any], wal_max: int) -> None:
    appended = [g for g in gathered if g[0] == "append"]
    lines = sum(g[2] for g in appended)
    millions = lines / 1e6
    for g in sorted(appended, key=lambda g: g[1]):
        ms = [s * 1000 for s in g[5]]
        at = {q: round(ms[min(int(q * len(ms)), len(ms) - 1)], 1) for q in (0.5, 0.9, 0.99, 1.0)}
        print(f"process {g[1]}: {g[2] / g[6]:,.0f} lines/s, post -> durable ms {at}")
    cpu, in_split, in_kernel, faults = (sum(g[i] for g in appended) / millions for i in (3, 4, 7, 8))
    print(
        f"append: {cpu:.3f} CPU-s/M lines, {in_split:.3f} of it split; {in_kernel:.3f} in the kernel, {faults:,.0f} page faults"
    )
    for g in sorted((g for g in gathered if g[0] == "read"), key=lambda g: g[1]):
        print(f"reader {g[1]}: {g[2]:,} lines of {lines:,}, {g[3] / (g[2] / 1e6):.3f} CPU-s/M lines, {g[4]} polls")
    size = sum(p.stat().st_size for p in folder.glob("*/*.db"))
    print(f"disk: {size / lines:.1f} bytes/line, WAL at most {wal_max / 2**20:.0f} MiB")
    print(f"system: max RSS of a child {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
