"""`POST /v1/logs`: lines in, an answer once they are durable.

Decoding and dividing among shards runs in worker threads, where numpy and Arrow let go of the interpreter lock; the event
loop only receives and waits. An answer 200 means that every line of the post is on disk, as a record or as a dead letter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.config.settings import Settings
from tailrace.errors import Backpressure, Invalid, TailraceError, Unavailable
from tailrace.formats.base import Decoded, Format, Options
from tailrace.formats.decode import decode, known_format, known_formats
from tailrace.formats.reading import limits_of, options_of
from tailrace.ingest.admission import DiskGate, Gate
from tailrace.ingest.body import Body, content_encoding, inflated, receive
from tailrace.ingest.responses import error_response, json_response
from tailrace.ingest.storing import Sent, count_lines, send, settled
from tailrace.model.sequence import sequence_number
from tailrace.model.verdict import REASONS, Verdict
from tailrace.runtime.clock import Clock
from tailrace.stream.base import Appended, ProducerStamp, ShardBatch, StreamBackend
from tailrace.stream.checks import as_numbers
from tailrace.stream.partitioning import split
from tailrace.telemetry import metrics as names
from tailrace.telemetry.registry import Registry

DEAD_LETTERS_LISTED_MAX = 100

_PARAMETERS = ("format", "key", "key_field", "response_time")
_UNITS = ("s", "ms", "us")
_PRODUCER = re.compile(r"\s*([^;\s]{1,256})\s*;\s*(\d{1,19})\s*;\s*(\d{1,19})\s*")
_KEY_BYTES_MAX = 256


Translate = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says about its body. `key`: one partition key for all lines, or empty."""

    format: Format
    key: str
    options: Options
    producer: ProducerStamp | None


@dataclass(frozen=True, slots=True)
class Post:
    """A decoded body, the partition key of each of its lines, and its batches."""

    decoded: Decoded
    keys: pa.Array
    sent: list[Sent]


def parse_producer(text: str | None) -> ProducerStamp | None:
    """`ID;EPOCH;N`. Raises Invalid for anything else."""
    if text is None:
        return None
    match = _PRODUCER.fullmatch(text)
    if match is None or max(int(match[2]), int(match[3])) >= 1 << 63:
        raise Invalid(
            f"header `Tailrace-Producer: {text[:300]}` cannot be read",
            hint="write ID;EPOCH;N: a name without blanks or semicolons, and two whole numbers, for example web-1;0;42",
        )
    return ProducerStamp(match[1], int(match[2]), int(match[3]))


def parse_ask(request: Request, settings: Settings) -> Ask:
    """Raises Invalid, naming what there is, for anything that is not known: a typing error must not pass unseen."""
    parameters = request.query_params
    unknown = [name for name in parameters if name not in _PARAMETERS]
    if unknown:
        raise Invalid(f"parameter `{unknown[0]}` is not known", hint=f"use: {', '.join(_PARAMETERS)}")
    unit = parameters.get("response_time", "")
    if unit and unit not in _UNITS:
        raise Invalid(f"`{unit}` is not a unit of time", hint=f"use one of: {', '.join(_UNITS)}")
    key = check_key(parameters.get("key", ""))
    chosen = known_format(parameters.get("format") or settings.ingest.format, settings.formats)
    options = options_of(settings, parameters.get("key_field", ""), unit)
    return Ask(chosen, key, options, parse_producer(request.headers.get("tailrace-producer")))


def check_key(key: str) -> str:
    """Raises Invalid for one that is too long."""
    if len(key.encode(errors="replace")) > _KEY_BYTES_MAX:
        raise Invalid(f"the partition key is longer than `{_KEY_BYTES_MAX}` bytes")
    return key


class LogsEndpoint:
    """The handler. `workers`: threads for decoding."""

    def __init__(
        self,
        stream: StreamBackend,
        settings: Settings,
        gate: Gate,
        disk: DiskGate,
        workers: Executor,
        clock: Clock,
        metrics: Registry,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._gate = gate
        self._disk = disk
        self._workers = workers
        self._clock = clock
        self._metrics = metrics

    async def handle(self, request: Request) -> Response:
        try:
            response = await self._post(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it, and nothing was stored
        except TailraceError as error:
            response = error_response(error)
        self._metrics.add(names.INGEST_POSTS, 1, str(response.status_code))
        return response

    async def _post(self, request: Request) -> Response:
        ask = parse_ask(request, self._settings)
        post, appended = await self.take(request, ask)
        answered = answer(post.decoded, appended, self._stream)
        if 0 < answered["dead_lettered_total"] == post.decoded.count:
            others = ", ".join(name for name in known_formats(self._settings.formats) if name != ask.format.name)
            answered["hint"] = f"no line could be read as `{ask.format.name}`; other formats: ?format= {others}"
        return json_response(answered)

    async def take(self, request: Request, ask: Ask, translate: Translate | None = None) -> tuple[Post, list[Appended]]:
        """Receive, decode and store the body of a request: on return all of it is durable.

        `translate`: from the inflated body to lines that `ask.format` reads, in a worker thread; without it an empty body is
        refused. Raises Invalid, Backpressure or Unavailable; the last two say whether a retry is safe.
        """
        self._disk.check()
        body = Body(self._gate, content_encoding(request))
        try:
            await receive(request, body, self._settings.ingest.body_bytes_max)
            if not body.size and translate is None:
                raise Invalid(
                    "the body is empty", hint="send log lines, for example: curl --data-binary @access.log URL"
                )
            async with self._gate.turn():
                loop = asyncio.get_running_loop()
                post = await loop.run_in_executor(self._workers, self._start, body, ask, translate)
                appended = await self._stored(post, ask)
        finally:
            body.close()
        count_lines(self._metrics, post.decoded, appended)
        return post, appended

    def _start(self, body: Body, ask: Ask, translate: Translate | None) -> Post:
        """Inflate, decode, divide, and hand to the stream. Runs in a worker thread."""
        began = self._clock.monotonic_s()
        text = inflated(body, self._settings.ingest.body_bytes_max)
        if translate is not None:
            text = translate(text)
        limits = limits_of(self._settings, self._clock.now_us())
        decoded = decode(text, ask.format, self._settings.fields, limits, ask.options)
        keys = decoded.keys if not ask.key else pa.repeat(ask.key, decoded.count)
        batches = split(decoded.columns, decoded.raw, keys, self._stream.shards(), decoded.lines, ask.producer)
        self._metrics.observe(names.INGEST_DECODE_SECONDS, self._clock.monotonic_s() - began)
        self._metrics.add(names.INGEST_BYTES, len(text))
        return Post(decoded, keys, [send(self._stream, batch) for batch in batches])

    def _append_anew(self, post: Post, moved: list[ShardBatch]) -> list[Sent]:
        """Divide the lines of batches, of which nothing was stored, among the shards that there are now. In a worker thread."""
        shards, sent = self._stream.shards(), []
        for batch in moved:
            rows = np.searchsorted(as_numbers(post.decoded.lines), as_numbers(batch.lines))
            keys = post.keys.take(pa.array(rows))
            parts = split(batch.columns, batch.raw, keys, shards, batch.lines, batch.producer)
            sent += [send(self._stream, part) for part in parts]
        return sent

    async def _stored(self, post: Post, ask: Ask) -> list[Appended]:
        """Raises Unavailable or Backpressure unless all of it is durable; says then whether a retry is safe.

        A batch whose shard is split or merged before it was stored is divided anew; the others are not touched again.
        """
        began = self._clock.monotonic_s()
        loop = asyncio.get_running_loop()
        done = await settled(
            post.sent, lambda moved: loop.run_in_executor(self._workers, self._append_anew, post, moved)
        )
        appended = [result for _, result in done if isinstance(result, Appended)]
        failed = [result for _, result in done if not isinstance(result, Appended)]
        untouched = not appended and all(isinstance(each.appending, Unavailable) for each, _ in done)
        self._metrics.observe(names.INGEST_STORE_SECONDS, self._clock.monotonic_s() - began)
        if not failed:
            return appended
        worst = next((error for error in failed if not isinstance(error, Backpressure)), failed[0])
        raise _retriable(worst, ask.producer is not None, untouched)


def _retriable(error: TailraceError, has_producer: bool, untouched: bool) -> TailraceError:
    """`error` with the truth about a retry: lines of the post may be stored although it failed."""
    if untouched:
        return error
    if has_producer:
        hint = (
            "send it again with the same `Tailrace-Producer` header: lines that are stored already will not be doubled"
        )
    else:
        hint = (
            "part of this post may be stored: sending it again may double lines; "
            "with the header `Tailrace-Producer: ID;EPOCH;N` a retry is safe"
        )
    if isinstance(error, Unavailable):
        return Unavailable(error.message, retry_after_s=error.retry_after_s, hint=hint)
    error.hint = hint
    return error


def answer(decoded: Decoded, appended: list[Appended], stream: StreamBackend) -> dict[str, Any]:
    """The body of a 200. `line` counts from 1, as editors do; lines deduplicated are not listed as dead letters again."""
    duplicates: set[int] = set().union(*(each.duplicate_lines for each in appended))
    verdicts = decoded.columns.column("verdict").to_numpy()
    dead = [
        row for row in np.flatnonzero(verdicts).tolist() if not duplicates or int(decoded.lines[row]) not in duplicates
    ]
    shards = {shard.id: shard for shard in stream.shards()}
    return {
        "accepted": sum(each.stored for each in appended),
        "dead_lettered": [
            {"line": int(decoded.lines[row]) + 1, "reason": REASONS[Verdict(int(verdicts[row]))]}
            for row in dead[:DEAD_LETTERS_LISTED_MAX]
        ],
        "dead_lettered_total": sum(each.dead_lettered for each in appended),
        "deduplicated": sum(each.deduplicated for each in appended),
        "position": {
            each.shard_id: sequence_number(shards[each.shard_id], each.last_offset)
            for each in sorted(appended, key=lambda each: (each.shard_id, each.last_offset))
            if each.last_offset >= 0
        },
    }
