"""`POST /v1/otlp/v1/logs`: logs by OTLP/HTTP 1, in protobuf or JSON, as any OpenTelemetry SDK or Collector exports them.

Answered once all records are durable. A record that becomes a dead letter is told as rejected, with the reason; it is kept all
the same. What can be sent again is answered 429 or 503 with `Retry-After`, as OTLP has it; all other errors are for good.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.config.settings import Settings
from tailrace.errors import Backpressure, Invalid, TailraceError, Unavailable
from tailrace.formats.decode import known_format
from tailrace.formats.otlp import parse_json, parse_protobuf, to_lines
from tailrace.formats.reading import options_of
from tailrace.ingest.protocols.http_json import Ask, LogsEndpoint, Post, check_key, parse_producer
from tailrace.model.verdict import REASONS, Verdict
from tailrace.runtime.clock import Clock
from tailrace.stream.base import Appended
from tailrace.telemetry import metrics as names
from tailrace.telemetry.registry import Registry

PROTOBUF, JSON = "application/x-protobuf", "application/json"
GROWTH_MAX = 4
"""A request may become so many times `body_bytes_max` of lines, as its resource is part of each."""
_PARAMETERS = ("key", "key_field")
_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _INTERNAL, _UNAVAILABLE = 3, 8, 13, 14
"""Codes of google.rpc.Status."""


class OtlpEndpoint:
    """The handler. `logs` admits, decodes and stores."""

    def __init__(self, logs: LogsEndpoint, settings: Settings, clock: Clock, metrics: Registry) -> None:
        self._logs = logs
        self._settings = settings
        self._clock = clock
        self._metrics = metrics

    async def handle(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind not in (PROTOBUF, JSON):
                response = _unknown_kind(kind)
            else:
                response = _answer(kind, *await self._logs.take(request, self._ask(request), self._translate(kind)))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it, and nothing was stored
        except TailraceError as error:
            response = _error(kind, error)
        self._metrics.add(names.INGEST_POSTS, 1, str(response.status_code))
        return response

    def _ask(self, request: Request) -> Ask:
        parameters = request.query_params
        unknown = [name for name in parameters if name not in _PARAMETERS]
        if unknown:
            raise Invalid(f"parameter `{unknown[0]}` is not known", hint=f"use: {', '.join(_PARAMETERS)}")
        key = check_key(parameters.get("key", ""))
        options = options_of(self._settings, parameters.get("key_field", ""))
        return Ask(known_format("json"), key, options, parse_producer(request.headers.get("tailrace-producer")))

    def _translate(self, kind: str) -> Any:
        parse = parse_protobuf if kind == PROTOBUF else parse_json
        bytes_max = GROWTH_MAX * self._settings.ingest.body_bytes_max
        arrived_ns = self._clock.now_us() * 1000
        return partial(_lines, parse, self._settings, arrived_ns, bytes_max)


def _lines(parse: Any, settings: Settings, arrived_ns: int, bytes_max: int, body: bytes) -> bytes:
    return to_lines(parse(body), settings.fields, arrived_ns, bytes_max)


def _answer(kind: str, post: Post, appended: list[Appended]) -> Response:
    """A full success is an empty message."""
    rejected = sum(each.dead_lettered for each in appended)
    message = _why(post) if rejected else ""
    if kind == JSON:
        partial_success = {"rejectedLogRecords": str(rejected), "errorMessage": message}
        return _respond(kind, msgspec.json.encode({"partialSuccess": partial_success} if rejected else {}))
    if not rejected:
        return _respond(kind, ExportLogsServiceResponse().SerializeToString())
    success = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    return _respond(kind, ExportLogsServiceResponse(partial_success=success).SerializeToString())


def _why(post: Post) -> str:
    verdicts = sorted({int(each) for each in post.decoded.columns.column("verdict").to_pylist() if each})
    reasons = "; ".join(REASONS[Verdict(each)] for each in verdicts)
    return f"kept as dead letters, do not send them again: {reasons}"


def _error(kind: str, error: TailraceError) -> Response:
    """A google.rpc.Status. Only 429, 502, 503 and 504 are sent again by an OTLP exporter."""
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    if isinstance(error, Unavailable):
        code = _RESOURCE_EXHAUSTED if isinstance(error, Backpressure) else _UNAVAILABLE
        response = _respond(kind, _status(kind, code, message), error.http_status)
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    code = _INVALID_ARGUMENT if isinstance(error, Invalid) else _INTERNAL
    return _respond(kind, _status(kind, code, message), error.http_status)


def _unknown_kind(kind: str) -> Response:
    named = f"content type `{kind[:100]}` is not known" if kind else "the content type is missing"
    return _respond(JSON, _status(JSON, _INVALID_ARGUMENT, f"{named}: use {PROTOBUF} or {JSON}"), 415)


def _status(kind: str, code: int, message: str) -> bytes:
    """google.rpc.Status: code (field 1, a number below 128) and message (field 2, text)."""
    if kind == JSON:
        return msgspec.json.encode({"code": code, "message": message})
    text = message.encode()
    return bytes((0x08, code, 0x12)) + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _respond(kind: str, body: bytes, status: int = 200) -> Response:
    return Response(body, status_code=status, headers={"content-type": kind})
