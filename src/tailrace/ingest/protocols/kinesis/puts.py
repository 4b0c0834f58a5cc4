"""PutRecord and PutRecords: records in, their places out, once they are durable.

The requests that come in while others are served are decoded together next, and share batches and commits: four of 500 records cost
less than half of what they cost one by one. Each still gets an answer of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from tailrace.config.settings import Settings
from tailrace.formats.base import Decoded
from tailrace.formats.decode import field_texts, known_format
from tailrace.formats.reading import limits_of, options_of
from tailrace.ingest.protocols.kinesis.framing import decode_records
from tailrace.ingest.protocols.kinesis.placing import Placed, place
from tailrace.ingest.protocols.kinesis.unpacking import Rows, unpacked
from tailrace.ingest.storing import Sent, count_lines, send, settled
from tailrace.runtime.clock import Clock
from tailrace.stream.base import Appended, ShardBatch, StreamBackend
from tailrace.stream.checks import as_numbers
from tailrace.stream.partitioning import split
from tailrace.telemetry import metrics as names
from tailrace.telemetry.registry import Registry

GROUP_ROWS_MAX = 8_192
GROUP_BYTES_MAX = 16 << 20
GATHER_S = 0.002
"""How long a group waits for more requests, once others have been served: a group costs milliseconds, whatever its size."""
LOOK_S = 0.01
"""How soon it is seen that a full group has come together while another is stored."""
STORING_MAX = 2


class Entry(msgspec.Struct):
    """A record of PutRecords, as msgspec reads it: base64 at once."""

    Data: bytes
    PartitionKey: str = ""
    ExplicitHashKey: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """The checked records of one request. `hash_keys`: of those that say one, by their number."""

    data: list[bytes]
    keys: list[str]
    hash_keys: Mapping[int, int]
    size: int


@dataclass(slots=True)
class _Group:
    """Requests that are decoded together; `rows` is made of all their records, one after the other."""

    rows: Rows
    decoded: Decoded
    keys: pa.Array
    ids: pa.Array | None
    sent: list[Sent] = field(default_factory=list)


_Waiting = tuple[Put, "asyncio.Future[list[Placed]]"]


class Puts:
    """Used by one event loop. `workers`: threads for decoding."""

    def __init__(
        self, stream: StreamBackend, settings: Settings, workers: Executor, clock: Clock, metrics: Registry
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._workers = workers
        self._clock = clock
        self._metrics = metrics
        self._format = known_format(settings.ingest.format, settings.formats)
        self._options = options_of(settings)
        self._waiting: deque[_Waiting] = deque()
        self._decoded = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, put: Put) -> list[Placed]:
        """What became of each record, in order; an error stands in place of what could not be stored."""
        answer: asyncio.Future[list[Placed]] = asyncio.get_running_loop().create_future()
        self._waiting.append((put, answer))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        return await answer

    async def _serve(self) -> None:
        """Group after group while any request waits. Only full groups are stored while the next is decoded: what costs is the group."""
        try:
            while self._waiting:
                taken = self._take()
                done = asyncio.create_task(self._run(taken))
                self._tasks.add(done)
                done.add_done_callback(self._tasks.discard)
                await self._decoded.wait()
                self._decoded.clear()
                while self._tasks and (not self._is_full() or len(self._tasks) >= STORING_MAX):
                    await asyncio.wait(self._tasks, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                if not self._is_full() and (len(taken) > 1 or self._waiting):
                    # Those that have just been answered will be back at once.
                    await asyncio.sleep(GATHER_S)
        finally:
            self._serving = None

    def _is_full(self) -> bool:
        return sum(len(put.data) for put, _ in self._waiting) >= GROUP_ROWS_MAX

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        rows = size = 0
        while self._waiting:
            put = self._waiting[0][0]
            rows, size = rows + len(put.data), size + put.size
            if taken and (rows > GROUP_ROWS_MAX or size > GROUP_BYTES_MAX):
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _run(self, taken: list[_Waiting]) -> None:
        """Decode and store one group, and answer its requests."""
        try:
            try:
                group = await asyncio.get_running_loop().run_in_executor(self._workers, self._start, taken)
            finally:
                self._decoded.set()
            placed = await self._stored(group)
        except Exception as error:  # noqa: BLE001 - each request gets it; the next group must be served
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(error)
            return
        at = 0
        for put, answer in taken:
            if not answer.done():
                answer.set_result(placed[at : at + len(put.data)])
            at += len(put.data)

    # -- in a worker thread ----------------------------------------------------------------------------------------

    def _start(self, taken: Sequence[_Waiting]) -> _Group:
        """Take apart, decode, divide, and hand to the stream."""
        began = self._clock.monotonic_s()
        shards = self._stream.shards()
        rows = unpacked([put for put, _ in taken], shards)
        settings = self._settings
        limits = limits_of(settings, self._clock.now_us())
        decoded = decode_records(rows.data, self._format, settings.fields, limits, self._options)
        keys = pa.array(rows.keys, pa.string())
        ids = None
        if settings.kinesis.id_field:
            ids = field_texts(decoded.columns, settings.fields, settings.kinesis.id_field).cast(pa.binary())
        batches = split(decoded.columns, decoded.raw, keys, shards, decoded.lines, hash_keys=rows.hash_keys, ids=ids)
        self._metrics.observe(names.INGEST_DECODE_SECONDS, self._clock.monotonic_s() - began)
        self._metrics.add(names.INGEST_BYTES, sum(put.size for put, _ in taken))
        if rows.dropped:
            self._metrics.add(names.KINESIS_DROPPED, rows.dropped)
        return _Group(rows, decoded, keys, ids, [send(self._stream, batch) for batch in batches])

    def _again(self, group: _Group, moved: Sequence[ShardBatch]) -> list[Sent]:
        """Divide the rows of batches, of which nothing was stored, among the shards that there are now."""
        shards, sent = self._stream.shards(), []
        for batch in moved:
            numbers = as_numbers(batch.lines)
            given = {
                row: group.rows.hash_keys[n] for row, n in enumerate(numbers.tolist()) if n in group.rows.hash_keys
            }
            keys = group.keys.take(pa.array(numbers))
            parts = split(batch.columns, batch.raw, keys, shards, batch.lines, hash_keys=given, ids=batch.ids)
            sent += [send(self._stream, part) for part in parts]
        return sent

    # -- in the event loop -----------------------------------------------------------------------------------------

    async def _stored(self, group: _Group) -> list[Placed]:
        began = self._clock.monotonic_s()
        loop = asyncio.get_running_loop()
        done = await settled(group.sent, lambda moved: loop.run_in_executor(self._workers, self._again, group, moved))
        self._metrics.observe(names.INGEST_STORE_SECONDS, self._clock.monotonic_s() - began)
        count_lines(self._metrics, group.decoded, [result for _, result in done if isinstance(result, Appended)])
        return place(group.rows, done, self._stream.shards())


def put_of(entries: Sequence[Any]) -> Put:
    """`entries`: with Data, PartitionKey, ExplicitHashKey, all of them valid."""
    data = [each.Data for each in entries]
    keys = [each.PartitionKey for each in entries]
    hashes = {n: int(each.ExplicitHashKey) for n, each in enumerate(entries) if each.ExplicitHashKey is not None}
    return Put(data, keys, hashes, sum(map(len, data)))
