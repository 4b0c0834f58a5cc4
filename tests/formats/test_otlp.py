"""OpenTelemetry's records as lines of ours: each attribute to its field, nothing lost, protobuf and JSON alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from tailrace.errors import Invalid, TooLarge
from tailrace.formats.base import Limits
from tailrace.formats.decode import decode
from tailrace.formats.otlp import parse_json, parse_protobuf, to_lines
from tailrace.model.fields import DEFAULT_FIELDS, Field, FieldKind, Fields

ARRIVED_NS = 1_790_000_000_000_000_000
HAPPENED_NS = 1_789_999_999_123_456_789


def any_value(value: Any) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))
        case _:
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def request(attributes: dict[str, Any] | None = None, body: Any = "hello", **record: Any) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    of_resource = message.resource_logs.add()
    of_resource.resource.attributes.extend(pairs({"service.name": "shop", "host.name": "web-1"}))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name, of_scope.scope.version = "shop.pay", "1.2"
    values = {"time_unix_nano": HAPPENED_NS, **record}
    of_scope.log_records.add(body=any_value(body), attributes=pairs(attributes or {}), **values)
    return message


def as_json(message: ExportLogsServiceRequest) -> bytes:
    """As OTLP has it: ids in hexadecimal."""
    value = MessageToDict(message, use_integers_for_enums=True)
    for of_resource, parts in zip(value.get("resourceLogs", []), message.resource_logs, strict=True):
        for of_scope, logs in zip(of_resource.get("scopeLogs", []), parts.scope_logs, strict=True):
            for record, log in zip(of_scope.get("logRecords", []), logs.log_records, strict=True):
                record |= {"traceId": log.trace_id.hex(), "spanId": log.span_id.hex()}
    return json.dumps(value).encode()


def lines(message: ExportLogsServiceRequest, fields: Fields = DEFAULT_FIELDS) -> bytes:
    """By protobuf and by JSON, which must agree."""
    by_protobuf = to_lines(parse_protobuf(message.SerializeToString()), fields, ARRIVED_NS, 1 << 20)
    assert to_lines(parse_json(as_json(message)), fields, ARRIVED_NS, 1 << 20) == by_protobuf
    return by_protobuf


def record(message: ExportLogsServiceRequest, fields: Fields = DEFAULT_FIELDS) -> dict[str, Any]:
    decoded = decode(lines(message, fields), "json", fields, Limits())
    [row] = decoded.columns.to_pylist()
    assert row.pop("verdict") == 0
    row["extra"] = json.loads(row["extra"]) if row["extra"] else {}
    return {name: value for name, value in row.items() if value is not None}


def test_a_record_of_today() -> None:
    found = record(
        request(
            {
                "http.route": "/users/{id}",
                "url.path": "/users/7",
                "http.request.method": "GET",
                "http.response.status_code": 503,
                "client.address": "203.0.113.9",
                "http.server.request.duration": 0.0123,
                "user.id": 7,
            },
            observed_time_unix_nano=HAPPENED_NS + 5,
            severity_number=17,
            trace_id=bytes(range(16)),
            span_id=bytes(range(8)),
            flags=1,
            event_name="payment.failed",
            dropped_attributes_count=2,
        )
    )
    assert found.pop("timestamp").isoformat() == "2026-09-21T14:13:19.123456+00:00"
    assert str(found.pop("response_ms")) == "12.300"
    assert found == {
        "service": "shop",
        "endpoint": "/users/{id}",
        "method": "GET",
        "status": 503,
        "ip": "203.0.113.9",
        "level": "ERROR",
        "trace_id": "000102030405060708090a0b0c0d0e0f",
        "message": "hello",
        "extra": {
            "time_unix_nano": HAPPENED_NS,
            "observed_time_unix_nano": HAPPENED_NS + 5,
            "severity_number": 17,
            "span_id": "0001020304050607",
            "flags": 1,
            "event_name": "payment.failed",
            "dropped_attributes_count": 2,
            "attributes": {"url.path": "/users/7", "http.server.request.duration": 0.0123, "user.id": 7},
            "resource": {"host.name": "web-1"},
            "scope": {"name": "shop.pay", "version": "1.2"},
        },
    }


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ({"url.path": "/a"}, "endpoint", "/a"),
        ({"http.target": "/a?b=1"}, "endpoint", "/a"),
        ({"http.method": "PUT"}, "method", "PUT"),
        ({"http.status_code": 404}, "status", 404),
        ({"http.client_ip": "10.0.0.1"}, "ip", "10.0.0.1"),
        ({"endpoint": "/own"}, "endpoint", "/own"),
        ({"http.response.status_code": "200"}, "status", 200),
    ],
)
def test_conventions_of_before_and_our_own_names(attributes: dict[str, Any], field: str, value: Any) -> None:
    found = record(request(attributes))
    assert found[field] == value
    assert "attributes" not in found["extra"]


@pytest.mark.parametrize(("number", "level"), [(1, "TRACE"), (8, "DEBUG"), (9, "INFO"), (16, "WARN"), (24, "FATAL")])
def test_severity_becomes_a_level(number: int, level: str) -> None:
    assert record(request(severity_number=number))["level"] == level
    assert record(request(severity_number=number, severity_text="notice"))["level"] == "notice"


def test_the_time_is_when_it_happened_else_when_it_was_seen_else_when_it_came() -> None:
    for happened, observed, expected in (
        (HAPPENED_NS, 1, HAPPENED_NS),
        (0, HAPPENED_NS, HAPPENED_NS),
        (0, 0, ARRIVED_NS),
    ):
        found = record(request(time_unix_nano=happened, observed_time_unix_nano=observed))
        assert round(found["timestamp"].timestamp() * 1e6) == expected // 1000
    assert record(request(time_unix_nano=5_000_000_000))["timestamp"].isoformat() == "1970-01-01T00:00:05+00:00"


def test_names_of_attributes_cannot_take_the_place_of_fields() -> None:
    found = record(request({"timestamp": "never", "message": "other", "resource": 1, "trace_id": "x"}))
    assert (found["message"], found.get("trace_id")) == ("hello", None)
    assert found["extra"]["attributes"] == {"timestamp": "never", "message": "other", "resource": 1, "trace_id": "x"}
    assert found["extra"]["resource"] == {"host.name": "web-1"}


def test_a_key_that_repeats_is_not_lost() -> None:
    message = request()
    message.resource_logs[0].scope_logs[0].log_records[0].attributes.extend([*pairs({"a": 1}), *pairs({"a": 2})])
    assert record(message)["extra"]["attributes"] == {"a": 1, "a#2": 2}


@pytest.mark.parametrize(
    ("body", "message"),
    [({"a": [1, None, True]}, '{"a":[1,null,true]}'), (7, "7"), (b"\x00\xff", "AP8="), (float("inf"), "Infinity")],
)
def test_a_body_of_any_kind_is_the_message(body: Any, message: str) -> None:
    assert record(request(body=body))["message"] == message


def test_fields_of_the_settings_are_taken_from_attributes_and_resource() -> None:
    fields = Fields(
        (
            *(field for field in DEFAULT_FIELDS.all if field.name != "status"),
            Field("status", FieldKind.INTEGER, source="code"),
            Field("user", FieldKind.TEXT, source="user.id"),
            Field("host", FieldKind.TEXT, source="host.name"),
        )
    )
    found = record(request({"http.status_code": 200, "user.id": "u7"}), fields)
    assert (found["status"], found["user"], found["host"]) == (200, "u7", "web-1")


def test_many_resources_keep_their_records_in_order() -> None:
    message = request(body="1")
    message.MergeFrom(request(body="2"))
    message.resource_logs[0].scope_logs.add().log_records.add(body=any_value("3"), time_unix_nano=HAPPENED_NS)
    assert [json.loads(line)["message"] for line in lines(message).split(b"\n")] == ["1", "3", "2"]


def test_a_request_that_grows_too_much_is_refused() -> None:
    message = request()
    message.resource_logs[0].resource.attributes.extend(pairs({"large": "x" * 10_000}))
    message.resource_logs[0].scope_logs[0].log_records.extend(
        [message.resource_logs[0].scope_logs[0].log_records[0]] * 300
    )
    with pytest.raises(TooLarge, match="each with its resource"):
        lines(message)


@pytest.mark.parametrize("body", [b"\xff\xff", b"{}", b'{"resourceLogs":[]}'])
def test_what_is_no_protobuf(body: bytes) -> None:
    with pytest.raises(Invalid, match="in protobuf"):
        parse_protobuf(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"resourceLogs":{}}', b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}',
     b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}',
     b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"bytesValue":"?"}}]}]}]}'],
)  # fmt: skip
def test_what_is_no_json_of_otlp(body: bytes) -> None:
    with pytest.raises(Invalid):
        to_lines(parse_json(body), DEFAULT_FIELDS, ARRIVED_NS, 1 << 20)


def test_null_and_unknown_keys_of_json_are_passed_over() -> None:
    body = b'{"later":1,"resourceLogs":[{"resource":null,"scopeLogs":[{"scope":null,"logRecords":[{"body":null,"x":[1],' \
        b'"attributes":null,"severityNumber":null,"timeUnixNano":"1789999999123456789"}]}]}]}'  # fmt: skip
    [found] = to_lines(parse_json(body), DEFAULT_FIELDS, ARRIVED_NS, 1 << 20).split(b"\n")
    assert json.loads(found) == {"timestamp": HAPPENED_NS, "time_unix_nano": HAPPENED_NS}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), values, max_size=4), values)
def test_no_value_is_lost(attributes: dict[str, Any], body: Any) -> None:
    attributes = {f"my.{key}": value for key, value in attributes.items()}
    found = json.loads(lines(request(attributes, body)))
    assert found.get("attributes", {}) == plain(attributes)
    if plain(body) not in (None, ""):
        assert found["message"] == plain(body)


def plain(value: Any) -> Any:
    import base64

    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value
