"""Send records of a Python program to a node: from any thread, in the background, never in the program's way."""

from __future__ import annotations

import asyncio
import atexit
import gzip
import logging
import multiprocessing.process
import multiprocessing.util
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from tailrace.errors import Invalid
from tailrace.model.window import iso
from tailrace.producers.backoff import backoff_s
from tailrace.producers.client import forks
from tailrace.producers.client.buffer import POLICIES, Buffer, WhenFull
from tailrace.producers.client.encode import line_of
from tailrace.producers.wire import Outcome, Reply, Wire, parse_address
from tailrace.runtime.clock import Clock, SystemClock
from tailrace.runtime.ids import unique_id

LOGGER = "tailrace.producer"
"""Troubles are told here unless `on_error` is given; `LogHandler` does not send what comes from it."""
TELL_S = 10.0
"""The same kind of trouble is told once in so long."""
COMPRESSIONS = ("auto", "none", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class ProducerCounts:
    """Records. `sent` = `acked` + `dropped` + `failed` + those on the way; of `acked`, some may be `dead_lettered` or known already.

    `dropped`: for want of room, by the policy. `failed`: refused by the node for good, not encodable, or not acknowledged when
    the producer was closed. `retries`: posts sent again. `problem`: the newest trouble.
    """

    sent: int = 0
    acked: int = 0
    dead_lettered: int = 0
    deduplicated: int = 0
    dropped: int = 0
    failed: int = 0
    retries: int = 0
    problem: str = ""


class Producer:
    """Sends records to a node, in the background.

        from tailrace import Producer

        producer = Producer("http://127.0.0.1:8080", service="shop")
        producer.send(endpoint="/pay", status=503, response_ms=12.5, message="card refused")

    Nothing here raises into the program, but for arguments of the constructor that cannot be: troubles are counted (`counts`) and
    told to `on_error`. Records are sent in posts of `batch_bytes`, or once the first of them is `linger_ms` old. A post is sent again,
    with growing pauses, until the node has acknowledged it; as it carries a stamp, the node stores it once.

    Safe to use from any thread, in programs that fork (the child begins anew, the parent sends what was there), and under asyncio:
    `send` waits only with `when_full="block"`, and then `asend` does it without holding up the event loop. When the interpreter ends,
    what is on the way is sent for at most `close_timeout_s`; after `os._exit`, kill -9 or a power cut it is lost, at most
    `buffer_bytes` of it.

    url: the node.
    service: the field `service` of records that have none.
    fields: further fields for records that do not have them, such as `host` or `version`.
    key_field: whose value is the partition key; the node's own choice without it.
    buffer_bytes: bound on what waits and what is being sent, in encoded bytes.
    when_full: `drop_oldest` (the default), `drop_newest`, or `block`: `send` waits until there is room.
    batch_bytes, linger_ms: how much, or how long, is gathered for a post.
    compression: `zstd`, `gzip`, `none`, or `auto`: `zstd` unless the node is on this machine.
    token: sent as a bearer token.
    on_error: called from the sending thread, or the one that calls `send`, with a sentence, at most once in ten seconds for each kind of
        trouble. Without it the logger `tailrace.producer` is used.

    Raises Invalid for an address or a number that cannot be.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        service: str | None = None,
        fields: Mapping[str, Any] | None = None,
        key_field: str | None = None,
        buffer_bytes: int = 16 << 20,
        when_full: WhenFull = "drop_oldest",
        batch_bytes: int = 512 << 10,
        linger_ms: float = 200,
        compression: str = "auto",
        token: str | None = None,
        on_error: Callable[[str], None] | None = None,
        close_timeout_s: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        _check(buffer_bytes, batch_bytes, linger_ms, when_full, compression)
        self._address = parse_address(url)
        self._params = {"format": "json", **({"key_field": key_field} if key_field else {})}
        self._headers = {"Content-Type": "application/x-ndjson"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._pack = self._packing(compression)
        self._defaults = {**({"service": service} if service else {}), **(fields or {})}
        self._name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in service or "python")[
            :80
        ]
        self._clock = clock or SystemClock()
        self._on_error = on_error
        self.close_timeout_s = close_timeout_s
        self._buffer = Buffer(buffer_bytes, batch_bytes, linger_ms / 1000, when_full, self._clock)
        self._counts_lock = threading.Lock()
        self._counts = ProducerCounts()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._begin()
        forks.watch(self)
        atexit.register(_close, weakref.ref(self))

    # -- what a program calls ----------------------------------------------------------------------------------------

    def send(self, record: Mapping[str, Any] | None = None, /, **fields: Any) -> bool:
        """Hand over one record: the fields of a mapping, keyword arguments, or both (which win). False if it was not taken.

        `timestamp` is now unless it is given: a text in ISO 8601, or a number since 1970. Waits only with `when_full="block"`.
        """
        return self._put(record, fields, wait=True)

    def try_send(self, record: Mapping[str, Any] | None = None, /, **fields: Any) -> bool:
        """The same, and never waits: with `when_full="block"`, a record for which there is no room is not taken, and not counted."""
        return self._put(record, fields, wait=False)

    async def asend(self, record: Mapping[str, Any] | None = None, /, **fields: Any) -> bool:
        """The same under asyncio: waits for room, where the policy is to block, without holding up the event loop."""
        if self._put(record, fields, wait=False):
            return True
        return await asyncio.to_thread(self._put, record, fields, wait=True) if self._buffer.blocks else False

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until all that was handed over by now is acknowledged or given up. False if that took longer than `timeout_s`."""
        return self._buffer.wait_settled(timeout_s)

    async def aflush(self, timeout_s: float | None = None) -> bool:
        """The same under asyncio."""
        return await asyncio.to_thread(self.flush, timeout_s)

    def close(self, timeout_s: float | None = None) -> ProducerCounts:
        """Send what is there for at most `timeout_s` (without it: `close_timeout_s`); the rest counts as failed. May be called again."""
        timeout_s = self.close_timeout_s if timeout_s is None else timeout_s
        self._buffer.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        self._give_up.set()
        lost = 0 if self._ended else self._buffer.waiting
        self._ended = True
        if lost:
            self._count(failed=lost, problem="closed before all was acknowledged")
            self._tell("closed", f"{lost} records were not acknowledged when the producer was closed")
        return self.counts()

    def counts(self) -> ProducerCounts:
        """As of now, from any thread."""
        with self._counts_lock:
            return self._counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    # -- taking records ----------------------------------------------------------------------------------------------

    def _put(self, record: Mapping[str, Any] | None, fields: dict[str, Any], *, wait: bool) -> bool:
        try:
            whole = {"timestamp": None, **self._defaults, **(record or {}), **fields}
            if whole["timestamp"] is None:
                whole["timestamp"] = iso(self._clock.now_us())
            line = line_of(whole)
        except Exception as error:  # noqa: BLE001 - a value's own code may raise anything, and nothing may get out
            self._count(sent=1, failed=1, problem=f"a record cannot be written as JSON: {error}")
            self._tell("encode", f"a record cannot be written as JSON: {type(error).__name__}: {error}")
            return False
        taken, dropped = self._buffer.put(line, wait=wait)
        if not taken and not wait and self._buffer.blocks:
            return False
        if taken and self._thread is None:
            self._start()
        lost = dropped + (not taken)
        self._count(sent=1, dropped=lost)
        if lost:
            self._tell(
                "full",
                f"no room: {self.counts().dropped} records were dropped so far; raise buffer_bytes, or see why posts wait",
            )
        return taken

    def _start(self) -> None:
        with self._counts_lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="tailrace-producer", daemon=True)
                thread.start()
                self._thread = thread
                _close_with_process(self)

    def _begin(self) -> None:
        """A new process, or a new copy of one: numbering begins under a name of its own."""
        self._stamp = f"{self._name}-{unique_id()};1"
        self._n = 0
        self._thread = None
        self._give_up = threading.Event()
        self._told: dict[str, float] = {}
        self._ended = False

    # -- sending -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wire = Wire(self._address, self._params, self._headers)
        try:
            while (batch := self._buffer.take()) is not None and not self._give_up.is_set():
                self._see_through(wire, batch.lines)
                if self._give_up.is_set():
                    return  # counted by `close`
                self._buffer.settle(batch)
        finally:
            wire.close()

    def _see_through(self, wire: Wire, lines: list[bytes]) -> None:
        """Until acknowledged, or refused for good, or given up."""
        body = self._pack(b"\n".join(lines) + b"\n")
        stamp, attempt = f"{self._stamp};{self._n}", 0
        self._n += 1
        while not self._give_up.is_set():
            attempt += 1
            reply = wire.send(body, stamp)
            match reply.outcome:
                case Outcome.ACKED:
                    self._acked(len(lines), reply)
                    return
                case Outcome.TOO_LARGE if len(lines) > 1:
                    half = len(lines) // 2
                    self._see_through(wire, lines[:half])
                    self._see_through(wire, lines[half:])
                    return
                case Outcome.AGAIN:
                    self._count(retries=1, problem=reply.problem)
                    self._tell("again", f"sending again: {reply.problem}")
                    self._give_up.wait(backoff_s(attempt, stamp, reply.retry_after_s))
                case _:
                    self._count(failed=len(lines), problem=reply.problem)
                    self._tell("refused", f"{len(lines)} records were refused: {reply.problem}")
                    return

    def _acked(self, lines: int, reply: Reply) -> None:
        if self._give_up.is_set():
            return  # it has been counted as failed
        self._count(acked=lines, dead_lettered=reply.dead_lettered, deduplicated=reply.deduplicated)
        if reply.dead_lettered:
            self._tell("dead", f"{reply.dead_lettered} records became dead letters: see tailrace deadletters list")

    def _packing(self, name: str) -> Callable[[bytes], bytes]:
        if name == "auto":
            name = "none" if self._address.local else "zstd"
        if name == "none":
            return lambda body: body
        self._headers["Content-Encoding"] = name
        if name == "gzip":
            return lambda body: gzip.compress(body, 4)
        import zstandard

        return lambda body: zstandard.ZstdCompressor(level=3).compress(body)

    # -- telling -----------------------------------------------------------------------------------------------------

    def _count(self, problem: str = "", **more: int) -> None:
        with self._counts_lock:
            now = self._counts
            sums = {name: getattr(now, name) + value for name, value in more.items()}
            self._counts = replace(now, problem=problem or now.problem, **sums)

    def _tell(self, kind: str, text: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._told.get(kind, float("-inf")) < TELL_S:
            return
        self._told[kind] = now_s
        try:
            if self._on_error is not None:
                self._on_error(text)
            else:
                logging.getLogger(LOGGER).warning(text)
        except Exception as error:  # noqa: BLE001 - the program's own callback must not end the sending
            self._count(problem=f"on_error raised {type(error).__name__}: {error}")

    # -- forks -------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """See forks."""
        self._buffer.lock.acquire()
        self._counts_lock.acquire()

    def after_fork_in_parent(self) -> None:
        """See forks."""
        self._counts_lock.release()
        self._buffer.lock.release()

    def after_fork_in_child(self) -> None:
        """See forks."""
        self._counts_lock = threading.Lock()
        self._counts = ProducerCounts()
        self._buffer.reset()
        self._begin()


def _close(producer: weakref.ref[Producer]) -> None:
    found = producer()
    if found is not None:
        found.close()


def _close_with_process(producer: Producer) -> None:
    """Processes of `multiprocessing` end without `atexit`."""
    if multiprocessing.process.parent_process() is not None:
        multiprocessing.util.Finalize(None, _close, args=(weakref.ref(producer),), exitpriority=0)


def _check(buffer_bytes: int, batch_bytes: int, linger_ms: float, when_full: str, compression: str) -> None:
    if when_full not in POLICIES:
        raise Invalid(f"`{when_full}` is no policy", hint=f"use one of: {', '.join(POLICIES)}")
    if compression not in COMPRESSIONS:
        raise Invalid(f"`{compression}` is no compression", hint=f"use one of: {', '.join(COMPRESSIONS)}")
    if not 0 < batch_bytes <= buffer_bytes:
        raise Invalid(f"posts of `{batch_bytes}` bytes and a buffer of `{buffer_bytes}` do not go together",
                      hint="batch_bytes is at least 1, buffer_bytes at least as much")  # fmt: skip
    if not 0 <= linger_ms <= 3_600_000:
        raise Invalid(f"`{linger_ms}` ms is no time to gather records", hint="use 0 to 3600000")
