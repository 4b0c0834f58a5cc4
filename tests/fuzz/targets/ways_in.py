"""What other systems hand over: OTLP's messages, and the SQL of Kinesis Analytics applications.

Oracles: what is taken of OTLP becomes lines that decode to as many records, and JSON of the same message gives the same lines; what
the importer writes compiles, and each thing that it says stands inside the text.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tailrace.errors import Invalid
from tailrace.formats.base import Limits
from tailrace.formats.decode import decode
from tailrace.formats.otlp import parse_json, parse_protobuf, to_lines
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_stream, compile_view
from tailrace.views.kinesis_analytics import Converted, Mapping, convert
from tailrace.views.stream import link_streams, parse_stream_text
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sql import placed

_ARRIVED_NS = 1_790_000_000_000_000_000
_BYTES_MAX = 1 << 20


def run_otlp_protobuf(data: bytes) -> None:
    message = parse_protobuf(data)
    lines = taken(message)
    if all(value.WhichOneof("value") != "string_value_strindex" for value in bodies(message)):
        assert to_lines(parse_json(as_json(message)), DEFAULT_FIELDS, _ARRIVED_NS, _BYTES_MAX) == lines


def run_otlp_json(data: bytes) -> None:
    taken(parse_json(data))


def taken(message: Any) -> bytes:
    """Its lines: one a record, each of which decodes."""
    lines = to_lines(message, DEFAULT_FIELDS, _ARRIVED_NS, _BYTES_MAX)
    records = sum(
        len(scope.log_records or ()) for resource in message.resource_logs or () for scope in resource.scope_logs or ()
    )
    decoded = decode(lines, "json", DEFAULT_FIELDS, Limits())
    assert decoded.count == records
    for line in lines.split(b"\n") if lines else ():
        assert isinstance(json.loads(line), dict)
    return lines


def bodies(message: ExportLogsServiceRequest) -> list[Any]:
    return [
        record.body
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def as_json(message: ExportLogsServiceRequest) -> bytes:
    """By protobuf's own JSON, with ids in hexadecimal as OTLP has them."""
    value = MessageToDict(message, use_integers_for_enums=True)
    for resource, of_resource in zip(value.get("resourceLogs", []), message.resource_logs, strict=True):
        for scope, of_scope in zip(resource.get("scopeLogs", []), of_resource.scope_logs, strict=True):
            for record, of_record in zip(scope.get("logRecords", []), of_scope.log_records, strict=True):
                record |= {"traceId": of_record.trace_id.hex(), "spanId": of_record.span_id.hex()}
    return json.dumps(value).encode()


def run_kinesis_analytics(data: bytes) -> None:
    text = text_of(data)
    converted: Converted = placed(text, lambda: convert(text, Mapping(DEFAULT_FIELDS)))
    lines = text.split("\n")
    for each in converted.report:
        assert 1 <= each.line <= len(lines), (each, text)
        assert 1 <= each.column <= len(lines[each.line - 1]) + 1, (each, text)
        assert each.text
    streams = [
        parse_stream_text(made, DEFAULT_FIELDS) for made in converted.files.values() if made.startswith("CREATE STREAM")
    ]
    for name, made in converted.files.items():
        if made.startswith("CREATE STREAM"):
            others = [each for each in streams if each.name != name]
            assert compile_stream(made, DEFAULT_FIELDS, others, {}).name == name
        else:
            assert compile_view(made, DEFAULT_FIELDS, link_streams(streams, {})).name == name
    if not converted.report:
        raise Invalid("nothing but streams without pumps")


@cache
def application() -> bytes:
    return (Path(__file__).parents[2] / "views" / "applications" / "requests.sql").read_bytes()


def _message() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    record = resource.scope_logs.add().log_records.add(
        time_unix_nano=_ARRIVED_NS, severity_number=9, trace_id=b"\1" * 16, span_id=b"\2" * 8
    )
    record.body.string_value = "hello"
    record.attributes.add(key="http.route").value.string_value = "/a"
    record.attributes.add(key="http.response.status_code").value.int_value = 500
    record.attributes.add(key="list").value.array_value.values.add().double_value = 0.5
    return message


_OTLP_WORDS = (
    b'"resourceLogs"', b'"scopeLogs"', b'"logRecords"', b'"body"', b'"stringValue"', b'"intValue"', b'"kvlistValue"',
    b'"arrayValue"', b'"values"', b'"bytesValue"', b'"doubleValue"', b'"NaN"', b"null", b'"attributes"', b'"key"', b'"value"',
    b'"timeUnixNano"', b'"18446744073709551616"', b"-1", b"1e400", b"http.route", b"service.name", b"\x0a", b"\x12\x00",
)  # fmt: skip
_SQL_WORDS = (
    b"CREATE ", b"OR REPLACE ", b"STREAM ", b"PUMP ", b"AS INSERT INTO ", b"SELECT STREAM ", b"FLOOR(", b" TO MINUTE)", b"STEP(",
    b" BY INTERVAL '10' SECOND)", b"ROWTIME", b"APPROXIMATE_ARRIVAL_TIME", b" GROUP BY ", b" OVER (PARTITION BY ",
    b" RANGE INTERVAL '1' MINUTE PRECEDING)", b"WINDOWED BY STAGGER (", b"WINDOW w AS (", b"COUNT(*)", b"AVG(", b"STDDEV_POP(",
    b"COUNT(DISTINCT ", b" HAVING ", b" JOIN ", b"TABLE(", b"CURSOR(", b"TOP_K_ITEMS_TUMBLING", b"CAST(", b" AS DOUBLE)", b'"', b"'",
    b";", b"--", b"/*", b"TIMESTAMP '1970-01-01 00:00:00'", b"CASE WHEN ", b" THEN 1 ELSE 0 END", b"(", b")", b",", b".",
)  # fmt: skip
TARGETS = (
    Target(
        "otlp_protobuf",
        "OTLP logs in protobuf: a line a record, the same as by JSON",
        run_otlp_protobuf,
        (_message().SerializeToString(), b""),
    ),
    Target("otlp_json", "OTLP logs in JSON", run_otlp_json, (as_json(_message()), b"{}"), _OTLP_WORDS),
    Target(
        "kinesis_analytics",
        "the SQL of a Kinesis Analytics application: what is written compiles, what is said stands in the text",
        run_kinesis_analytics,
        (application(),),
        _SQL_WORDS,
        bytes_max=8192,
    ),
)
