"""The operations of the Kinesis API that change something. The ingest processes have checked who asks and for what; see `control`."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.services import NodeServices
from tailrace.ingest.protocols.kinesis.api import TARGET_PREFIX
from tailrace.ingest.protocols.kinesis.control import OPERATIONS, Control
from tailrace.ingest.protocols.kinesis.errors import KinesisError
from tailrace.ingest.protocols.kinesis.kept import KeptFile
from tailrace.ingest.protocols.kinesis.streams import TheStream
from tailrace.ingest.protocols.kinesis.validation import Instant


def control_of(services: NodeServices) -> Control:
    kept = KeptFile(services.settings.kinesis_path, services.clock)
    return Control(TheStream(services.stream, services.settings, kept, services.clock))


async def control(request: Request) -> Response:
    """Body: the checked input as JSON. Answers the output, times in milliseconds, or name and message of the error."""
    operation = request.headers.get("x-amz-target", "").removeprefix(TARGET_PREFIX)
    if operation not in OPERATIONS:
        error = KinesisError("UnknownOperationException", "the ingest processes answer all others")
        return _answer({"name": error.name, "message": error.message}, error.status)
    given = msgspec.json.decode(await request.body(), type=dict[str, Any])
    try:
        found = await asyncio.to_thread(request.app.state.kinesis.run, operation, given)
    except KinesisError as error:
        return _answer({"name": error.name, "message": error.message}, error.status)
    return _answer(found, 200)


def _answer(value: Any, status: int) -> Response:
    body = msgspec.json.encode(value, enc_hook=_milliseconds)
    return Response(body, status_code=status, media_type="application/json")


def _milliseconds(value: Any) -> int:
    if isinstance(value, Instant):
        return value.ms
    raise NotImplementedError(type(value))
