"""The messages of OTLP logs as JSON has them, with the attributes that the protobuf messages have. Read by `otlp`.

OTLP's JSON is protobuf's, but for ids, which are hexadecimal, and enumerations, which are numbers. Keys that are not known are
passed over, and null is what is not there, as OTLP and protobuf want it.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

Number = int | str
"""64 bit integers may be strings."""


class _Message(msgspec.Struct, rename="camel"):
    pass


class ArrayValue(_Message):
    values: list[AnyValue] | None = None


class KeyValueList(_Message):
    values: list[KeyValue] | None = None


class AnyValue(_Message):
    """At most one is set."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Number | None = None
    double_value: float | str | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: str | None = None


class KeyValue(_Message):
    key: str | None = None
    value: AnyValue | None = None


class LogRecord(_Message):
    time_unix_nano: Number | None = None
    observed_time_unix_nano: Number | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: int | None = None
    flags: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class Scope(_Message):
    name: str | None = None
    version: str | None = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: int | None = None


class ScopeLogs(_Message):
    scope: Scope | None = None
    log_records: list[LogRecord] | None = None
    schema_url: str | None = None


class Resource(_Message):
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: int | None = None
    entity_refs: list[msgspec.Raw] | None = None


class ResourceLogs(_Message):
    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None
    schema_url: str | None = None


class Request(_Message):
    resource_logs: list[ResourceLogs] | None = None


DECODER = msgspec.json.Decoder(Request)


def id_of(text: str) -> str:
    """An id as lower case hexadecimal. Raises ValueError."""
    return bytes.fromhex(text).hex()


def bytes_of(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"`{text[:80]}` is no base64") from error
