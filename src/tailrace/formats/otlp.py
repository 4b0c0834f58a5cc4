"""OpenTelemetry's log records as JSON lines with the fields of ours, so that they are decoded, judged and kept as any other line.

Called by ingest. Nothing of a record is lost: what becomes a field is moved, all else stays under `attributes`, `resource`, `scope`
and the record's own names. The table in docs/ways-in.md says what becomes what.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tailrace.errors import Invalid, TooLarge
from tailrace.formats import otlp_json
from tailrace.model.fields import Fields
from tailrace.model.window import iso
from tailrace.runtime.unreadable import UNREADABLE

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_PLAIN_NS = 10**17
_INT64_MIN, _UINT64_MAX = -(1 << 63), (1 << 64) - 1

FIELD_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "endpoint": ("http.route", "url.path", "http.target", "endpoint"),
    "method": ("http.request.method", "http.method", "method"),
    "status": ("http.response.status_code", "http.status_code", "status"),
    "ip": ("client.address", "http.client_ip", "net.peer.ip", "ip"),
    "response_ms": ("http.server.duration", "duration_ms", "response_ms"),
}
"""The first that a record has becomes the field: those of the semantic conventions of today, of before 1.23, then our own names."""
DURATION_SECONDS = "http.server.request.duration"
"""In seconds; in milliseconds it is `response_ms`, and it stays among the attributes as it came."""
_ID_FIELDS = ("timestamp", "service", "level", "trace_id", "message")


def parse_protobuf(body: bytes) -> Any:
    """Raises Invalid."""
    try:
        return ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise Invalid(
            "the body is no ExportLogsServiceRequest in protobuf", hint="send what an OTLP/HTTP exporter sends"
        ) from error


def parse_json(body: bytes) -> Any:
    """Raises Invalid."""
    try:
        return otlp_json.DECODER.decode(body)
    except UNREADABLE as error:
        raise Invalid(
            f"the body is no OTLP logs request in JSON: {error}", hint="keys are in lowerCamelCase"
        ) from error


def to_lines(request: Any, fields: Fields, arrived_ns: int, bytes_max: int) -> bytes:
    """A line a record, in their order. `arrived_ns`: the time of records that have none.

    Raises TooLarge if that takes more than `bytes_max` bytes, as resource and scope are part of each line; Invalid for values that
    cannot be.
    """
    lines: list[bytes] = []
    size = 0
    try:
        for line in _lines(request, fields, arrived_ns):
            size += len(line) + 1
            if size > bytes_max:
                raise TooLarge(
                    f"its records, each with its resource, take more than `{bytes_max}` bytes",
                    hint="send fewer records at once",
                )
            lines.append(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"a log record cannot be read: {error}", hint="see the OTLP specification") from error
    return b"\n".join(lines)


def _lines(request: Any, fields: Fields, arrived_ns: int) -> Iterator[bytes]:
    keys = {field.name: field.key for field in fields.all}
    promoted = tuple(
        field.key for field in fields.all if field.name not in FIELD_ATTRIBUTES and field.name not in _ID_FIELDS
    )
    for of_resource in request.resource_logs or ():
        about, service = _resource(of_resource)
        for of_scope in of_resource.scope_logs or ():
            shared = {**about, **_scope(of_scope)}
            encoded = {name: msgspec.Raw(_ENCODER.encode(value)) for name, value in shared.items()}
            for record in of_scope.log_records or ():
                line = _record(record, keys, arrived_ns)
                if service is not None:
                    line[keys.get("service", "service")] = service
                attributes = line.get("attributes", {})
                for key in promoted:
                    found = attributes.pop(key, None)
                    if found is None:
                        found = about.get("resource", {}).get(key)
                    if found is not None and key not in line:
                        line[key] = found
                if not attributes:
                    line.pop("attributes", None)
                yield _ENCODER.encode({**line, **encoded})


def _resource(of_resource: Any) -> tuple[dict[str, Any], Any]:
    """(what is said of the resource, its service)."""
    resource = of_resource.resource or otlp_json.Resource()
    attributes = _attributes(resource.attributes)
    service = attributes.pop("service.name", None)
    found = {
        "resource": attributes,
        "resource_dropped_attributes_count": resource.dropped_attributes_count,
        "resource_schema_url": of_resource.schema_url,
        "resource_entities": [
            each if isinstance(each, msgspec.Raw) else MessageToDict(each) for each in resource.entity_refs or ()
        ],
    }
    return {name: value for name, value in found.items() if value}, service


def _scope(of_scope: Any) -> dict[str, Any]:
    scope = of_scope.scope or otlp_json.Scope()
    found = {
        "name": scope.name,
        "version": scope.version,
        "attributes": _attributes(scope.attributes),
        "dropped_attributes_count": scope.dropped_attributes_count,
        "schema_url": of_scope.schema_url,
    }
    found = {name: value for name, value in found.items() if value}
    return {"scope": found} if found else {}


def _record(record: Any, keys: dict[str, str], arrived_ns: int) -> dict[str, Any]:
    """The record's own part of its line."""
    happened_ns = _integer(record.time_unix_nano)
    observed_ns = _integer(record.observed_time_unix_nano)
    attributes = _attributes(record.attributes)
    trace_id, span_id = _id(record.trace_id), _id(record.span_id)
    known: dict[str, Any] = {
        "timestamp": _stamp(happened_ns or observed_ns or arrived_ns),
        "level": record.severity_text or _level(record.severity_number),
        "trace_id": trace_id,
        "message": None if record.body is None else _value(record.body),
        **_http(attributes),
    }
    line = {keys.get(name, name): value for name, value in known.items() if value not in (None, "")}
    rest = {
        "time_unix_nano": happened_ns if happened_ns % 1000 else 0,
        "observed_time_unix_nano": observed_ns,
        "severity_number": record.severity_number,
        "span_id": span_id,
        "flags": record.flags,
        "event_name": record.event_name,
        "dropped_attributes_count": record.dropped_attributes_count,
        "attributes": attributes,
    }
    return {**{name: value for name, value in rest.items() if value}, **line}


def _http(attributes: dict[str, Any]) -> dict[str, Any]:
    """The fields that attributes stand for; what becomes a field as it is leaves `attributes`."""
    found: dict[str, Any] = {}
    seconds = attributes.get(DURATION_SECONDS)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        found["response_ms"] = Decimal(repr(seconds)) * 1000
    for field, names in FIELD_ATTRIBUTES.items():
        name = next((name for name in names if attributes.get(name) is not None), None)
        if name is not None and field not in found:
            found[field] = attributes.pop(name)
    return found


def _attributes(pairs: Iterable[Any] | None) -> dict[str, Any]:
    """By key. A key that repeats, which OTLP forbids, is kept with a number behind it."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name = pair.key or ""
        key, again = name, 2
        while key in found:
            key, again = f"{name}#{again}", again + 1
        found[key] = None if pair.value is None else _value(pair.value)
    return found


def _value(value: Any) -> Any:
    """JSON-ready. Bytes as base64; what JSON has no number for as text."""
    if isinstance(value, otlp_json.AnyValue):
        return _json_value(value)
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return _double(value.double_value)
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case _:
            return None


def _json_value(value: otlp_json.AnyValue) -> Any:
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return _double(float(value.double_value))
    if value.array_value is not None:
        return [_json_value(each) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values)
    if value.bytes_value is not None:
        return base64.b64encode(otlp_json.bytes_of(value.bytes_value)).decode()
    return value.string_value if value.string_value is not None else value.bool_value


def _double(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _integer(value: int | str | None) -> int:
    value = value or 0
    number = value if isinstance(value, int) else int(value[:40])
    if not _INT64_MIN <= number <= _UINT64_MAX:
        raise ValueError(f"`{number}` has more than 64 bits")
    return number


def _id(value: bytes | str | None) -> str:
    return otlp_json.id_of(value) if isinstance(value, str) else (value or b"").hex()


def _level(number: int | None) -> str:
    """1 to 4 is TRACE, 5 to 8 DEBUG, and so on."""
    return _LEVELS[(number - 1) // 4] if number and 1 <= number <= 24 else ""


def _stamp(at_ns: int) -> int | str:
    """Nanoseconds since 1970 are read as what they are from 1973 on."""
    return at_ns if at_ns >= _PLAIN_NS else iso(at_ns // 1000)
