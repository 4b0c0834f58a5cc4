"""`POST /` with `X-Amz-Target`: a request of the Kinesis API from its bytes to its answer. Made once for each ingest process."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from itertools import count
from typing import Any

import httpx
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from tailrace.access.directory import Directory
from tailrace.access.principal import KEY, OPEN_HOUSE, Asker, Principal
from tailrace.config.settings import Settings
from tailrace.errors import TailraceError, TooLarge, Unavailable
from tailrace.ingest.admission import DiskGate, Gate
from tailrace.ingest.body import Body, receive
from tailrace.ingest.gateway import Gateway
from tailrace.ingest.protocols.kinesis import control
from tailrace.ingest.protocols.kinesis.answers import checked_put, entry_of, put_record, record_answer, records_answer
from tailrace.ingest.protocols.kinesis.api import TARGET_PREFIX, api
from tailrace.ingest.protocols.kinesis.describe import Describe
from tailrace.ingest.protocols.kinesis.errors import KinesisError, denied, of_ours
from tailrace.ingest.protocols.kinesis.eventstream import MEDIA_TYPE
from tailrace.ingest.protocols.kinesis.kept import KeptFile
from tailrace.ingest.protocols.kinesis.puts import Entry, Put, Puts
from tailrace.ingest.protocols.kinesis.reads import Reads
from tailrace.ingest.protocols.kinesis.sigv4 import Signable, check_claim, verify
from tailrace.ingest.protocols.kinesis.streams import TheStream
from tailrace.ingest.protocols.kinesis.subscribe import Subscriptions
from tailrace.ingest.protocols.kinesis.validation import Instant, checked, dry_run
from tailrace.ingest.protocols.kinesis.wire import JsonWire, Wire, wire_of
from tailrace.model.scopes import ADMIN, INGEST, QUERY
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id
from tailrace.stream.base import StreamBackend
from tailrace.telemetry.metrics import INGEST_IN_FLIGHT, KINESIS_FAILED_RECORDS, KINESIS_REQUESTS
from tailrace.telemetry.registry import Registry

_PUT_RECORDS_MAX = 500
_KEY_CHARS_MAX = 256
_HASH_KEY = re.compile(r"0|[1-9][0-9]{0,38}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{0,128}|arn:aws:kinesis:[a-z0-9-]*:[0-9]{12}:stream/[A-Za-z0-9_.-]{1,128}")
"""A plain name, a plain ARN, or neither."""
_logger = logging.getLogger(__name__)


class _PutRecords(msgspec.Struct):
    """PutRecords as nearly every request for it looks; any other is read member by member."""

    Records: list[Entry]
    StreamName: str | None = None
    StreamARN: str | None = None
    DryRun: bool = False


_fast = msgspec.json.Decoder(_PutRecords)


class KinesisEndpoint:
    """The handler. `workers`: threads for decoding and for reading."""

    def __init__(
        self,
        stream: StreamBackend,
        settings: Settings,
        gate: Gate,
        disk: DiskGate,
        workers: Executor,
        gateway: Gateway,
        directory: Directory,
        clock: Clock,
        metrics: Registry,
    ) -> None:
        self._of = TheStream(stream, settings, KeptFile(settings.kinesis_path, clock), clock)
        self._puts = Puts(stream, settings, workers, clock, metrics)
        self._reads = Reads(self._of)
        self._subscriptions = Subscriptions(self._of, self._reads, settings.run_dir / "subscriptions")
        self._describe = Describe(self._of)
        self._directory = directory
        self._body_bytes_max = settings.ingest.body_bytes_max
        self._gate = gate
        self._disk = disk
        self._gateway = gateway
        self._clock = clock
        self._metrics = metrics
        self._request_ids = _request_ids()

    async def handle(self, request: Request) -> Response:
        wire = wire_of(request.headers.get("content-type", ""))
        operation = ""
        try:
            if wire is None:
                raise KinesisError("UnknownOperationException", "the content type must be application/x-amz-json-1.1")
            operation = _operation(request)
            response = await self._answered(request, operation, wire)
            problem = ""
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it, and nothing was stored
        except (KinesisError, TailraceError) as error:
            found = of_ours(error) if isinstance(error, TailraceError) else error
            problem = found.name
            response = _refused(found, wire or JsonWire("application/x-amz-json-1.1"))
        except Exception:
            _logger.exception("%s failed", operation)
            problem = "InternalFailure"
            response = _refused(KinesisError(problem, "Internal Service Failure"), wire or JsonWire("application/json"))
        self._metrics.add(KINESIS_REQUESTS, 1, operation, problem)
        response.headers["x-amzn-RequestId"] = next(self._request_ids)
        return response

    async def _answered(self, request: Request, operation: str, wire: Wire) -> Response:
        if operation in ("PutRecord", "PutRecords"):
            self._disk.check()
        secrets = self._directory.signing() if self._directory.login_required() else None
        if secrets is not None:
            check_claim(_signable(request, b""), secrets, self._clock.now_us())
        body = Body(self._gate, "")
        try:
            await self._receive(request, body)
            content = body.chunks[0] if len(body.chunks) == 1 else b"".join(body.chunks)
            principal = OPEN_HOUSE
            if secrets is not None:
                principal = self._permitted(
                    operation, verify(_signable(request, content), dict(secrets), self._clock.now_us())
                )
            if operation == "SubscribeToShard":
                return await self._subscribe(checked(operation, wire.decode(content)), wire, principal)
            asker = Asker(principal, request.client.host if request.client else "")
            return _response(wire.encode(await self._output(operation, content, wire, asker)), wire)
        finally:
            body.close()

    async def _receive(self, request: Request, body: Body) -> None:
        try:
            await receive(request, body, self._body_bytes_max)
        except TooLarge as error:
            raise KinesisError("RequestEntityTooLarge", error.message, 413) from error

    def _permitted(self, operation: str, key_id: str) -> Principal:
        """Raises AccessDeniedException unless the key, whose signature is right, has the scope."""
        principal = self._directory.key(key_id)
        needed = scope_of(operation)
        if principal is None or not principal.grants.whole(needed):
            raise denied(
                f"User: {key_id} is not authorized to perform: kinesis:{operation} on resource: {self._of.arn}; the key needs the "
                f"scope `{needed}` in all streams."
            )
        return principal

    async def _output(self, operation: str, content: bytes, wire: Wire, asker: Asker) -> dict[str, Any]:
        if operation == "PutRecords":
            return await self._put_records(content, wire)
        given = checked(operation, wire.decode(content))
        if operation == "PutRecord":
            self._of.require(given)
            put = put_record(given, self._of)
            _check_dry(given)
            return record_answer((await self._put(put))[0])
        if operation in control.OPERATIONS:
            return await self._controlled(operation, given, asker)
        return await asyncio.to_thread(self._looked_up, operation, given, wire)

    def _looked_up(self, operation: str, given: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
        """In a worker thread."""
        if operation == "GetRecords":
            found = self._reads.get_records(given, wire)
        elif operation == "GetShardIterator":
            found = self._reads.get_shard_iterator(given)
        else:
            found = self._describe.operations[operation](given)
        _check_dry(given)
        return found

    # -- puts ------------------------------------------------------------------------------------------------------

    async def _put_records(self, content: bytes, wire: Wire) -> dict[str, Any]:
        named = _quick(content, wire)
        if named is None:
            given = checked("PutRecords", wire.decode(content))
            entries: Sequence[Entry] = [entry_of(each) for each in given["Records"]]
        else:
            entries = named.Records
            names = {"StreamName": named.StreamName, "StreamARN": named.StreamARN, "DryRun": named.DryRun}
            given = {name: value for name, value in names.items() if value is not None}
        self._of.require(given)
        put = checked_put(entries, self._of)
        _check_dry(given)
        answer = records_answer(await self._put(put), self._of)
        if answer["FailedRecordCount"]:
            self._metrics.add(KINESIS_FAILED_RECORDS, answer["FailedRecordCount"])
        return answer

    async def _put(self, put: Put) -> list[Any]:
        """However many wait, they are served in groups; what bounds them is the bytes of their bodies."""
        self._metrics.add(INGEST_IN_FLIGHT, 1)
        try:
            return await self._puts.put(put)
        finally:
            self._metrics.add(INGEST_IN_FLIGHT, -1)

    # -- the rest --------------------------------------------------------------------------------------------------

    async def _subscribe(self, given: Mapping[str, Any], wire: Wire, principal: Principal) -> Response:
        _check_dry(given)
        shard, offset, claim = await asyncio.to_thread(self._subscriptions.begin, given)
        events = self._subscriptions.events(shard, offset, claim, wire)
        return StreamingResponse(self._while_permitted(events, principal), media_type=MEDIA_TYPE)

    async def _while_permitted(self, events: AsyncGenerator[bytes, None], principal: Principal) -> AsyncIterator[bytes]:
        """Ends as soon as the key is another one, or gone."""
        async with aclosing(events):
            async for event in events:
                if principal.kind == KEY and self._directory.key(principal.name) != principal:
                    return
                yield event

    async def _controlled(self, operation: str, given: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
        """What the node, who owns stream and settings, makes of it."""
        _check_dry(given)
        try:
            status, content = await self._gateway.control(TARGET_PREFIX + operation, msgspec.json.encode(given), asker)
            answer = msgspec.json.decode(content, type=dict[str, Any])
        except (httpx.TransportError, msgspec.MsgspecError) as error:
            raise of_ours(
                Unavailable("the node does not answer", hint="it is starting or restarting: ask again")
            ) from error
        if status != 200:
            raise KinesisError(str(answer.get("name")), str(answer.get("message")), status)
        return {name: _timed(name, value) for name, value in answer.items()}


def scope_of(operation: str) -> str:
    """What a key needs for it."""
    if operation in ("PutRecord", "PutRecords"):
        return INGEST
    return ADMIN if operation in control.OPERATIONS else QUERY


def _operation(request: Request) -> str:
    """Raises UnknownOperationException."""
    target = request.headers.get("x-amz-target", "")
    operation = target.removeprefix(TARGET_PREFIX)
    if operation == target or operation not in api().operations:
        known = operation in api().others
        text = (
            f"{operation} is not spoken here: see docs/kinesis.md" if known else f"there is no operation {target[:100]}"
        )
        raise KinesisError("UnknownOperationException", text)
    return operation


def _quick(content: bytes, wire: Wire) -> _PutRecords | None:
    """The request, if it plainly keeps all that AWS's model wants; else None, and it is looked at closely."""
    try:
        found = _fast.decode(content) if isinstance(wire, JsonWire) else _converted(wire.decode(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KinesisError):
        return None
    lengths = [len(each.PartitionKey) for each in found.Records]
    fits = 0 < len(lengths) <= _PUT_RECORDS_MAX and min(lengths) > 0 and max(lengths) <= _KEY_CHARS_MAX
    hashed = {each.ExplicitHashKey for each in found.Records}
    plain = hashed == {None} or all(each is None or _HASH_KEY.fullmatch(each) for each in hashed)
    names = (found.StreamName or "", found.StreamARN or "")
    return found if fits and plain and all(_NAME.fullmatch(each) for each in names) else None


def _converted(value: Any) -> _PutRecords:
    """Raises msgspec.ValidationError."""
    return msgspec.convert(value, _PutRecords, builtin_types=(bytes,))


def _check_dry(given: Mapping[str, Any]) -> None:
    if given.get("DryRun"):
        raise dry_run()


def _timed(name: str, value: Any) -> Any:
    """The node's JSON has times in milliseconds, under names that say so."""
    if isinstance(value, dict):
        return {inner: _timed(inner, each) for inner, each in value.items()}
    return Instant(value) if name.endswith("Timestamp") else value


def _signable(request: Request, body: bytes) -> Signable:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
    path = (request.scope.get("raw_path") or b"/").decode("latin-1").partition("?")[0]
    return Signable(request.method, path, request.scope["query_string"].decode("latin-1"), headers, body)


def _response(content: bytes, wire: Wire) -> Response:
    return Response(content, media_type=wire.media_type)


def _refused(error: KinesisError, wire: Wire) -> Response:
    response = _response(wire.encode({"__type": error.name, "message": error.message}), wire)
    response.status_code = error.status
    response.headers["x-amzn-ErrorType"] = error.name
    return response


def _request_ids() -> Iterator[str]:
    """In the form of a UUID: the first half is chance, and the process's own; the second counts."""
    first = unique_id()
    for number in count(1):
        yield f"{first[:8]}-{first[8:12]}-{first[12:]}-{number >> 48:04x}-{number & (1 << 48) - 1:012x}"
