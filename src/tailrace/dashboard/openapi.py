"""The OpenAPI 3.1 document of `/openapi.json`, made from one table so that it stays short and true.

A test asks a running node for everything that is listed here, and holds its answers against it.
"""

from __future__ import annotations

from typing import Any

from tailrace import __version__
from tailrace.dashboard.openapi_access import ACCESS_SCHEMAS, access_paths
from tailrace.dashboard.openapi_alerts import alert_paths
from tailrace.dashboard.openapi_boards import BOARD_SCHEMAS, board_paths
from tailrace.dashboard.openapi_parts import BINARY, EVERYWHERE, SAID, as_json, body_of, operation, parameter, whole
from tailrace.dashboard.openapi_schemas import COUNT, SCHEMAS, TEXT, TRUTH, Schema, listed, named, record
from tailrace.dashboard.openapi_search import search_paths, search_schemas

_DURATION: Schema = {"type": "string", "pattern": "^([0-9]{1,15}(ms|s|m|h|d))+$"}
_FROM = parameter("from", "query", "first window start, ISO 8601")
_TO = parameter("to", "query", "windows that start before this instant")
_STEP = parameter("step", "query", "coarser windows, e.g. 1m; a multiple of the view's, 3650d at most", _DURATION)
_TOTAL = parameter("total", "query", "all windows merged into one row a key", TRUTH)
_WHERE = parameter("where", "query", "SQL condition over the view's keys")
_PRODUCER = parameter(
    "Tailrace-Producer",
    "header",
    "ID;EPOCH;N of this post: a retry with the same value is stored once",
    {"type": "string", "pattern": r"^[!-:<-~]{1,256};[0-9]{1,18};[0-9]{1,18}$"},
)
_ENCODING = parameter(
    "Content-Encoding", "header", "how the body is compressed", {"enum": ["", "gzip", "zstd", "identity"]}
)


def document() -> dict[str, Any]:
    """The whole document as JSON-ready values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailrace",
            "version": __version__,
            "description": "`POST /` with `X-Amz-Target: Kinesis_20131202.*` is the Kinesis API, which AWS describes. A node with "
            "users or keys wants a session's cookie or `Authorization: Bearer SECRET` everywhere but on the page's own files, the log-in, "
            "`/healthz` and `/readyz`: 401 without, 403 where the scope is missing (docs/access.md).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _ingest_paths()
        | _view_paths()
        | _pin_paths()
        | board_paths()
        | _shard_paths()
        | alert_paths()
        | _record_paths()
        | search_paths()
        | _node_paths()
        | access_paths(),
        "components": {"schemas": SCHEMAS | BOARD_SCHEMAS | search_schemas() | ACCESS_SCHEMAS},
    }


def _ingest_paths() -> dict[str, Any]:
    """What the ingest processes answer."""
    return {
        "/v1/logs": {
            "post": operation(
                "Take in log lines; answers once they are durable",
                [
                    parameter(
                        "format",
                        "query",
                        "json (NDJSON, an array or one object; default), logfmt, combined, common, or one of the settings",
                    ),
                    parameter("key", "query", "partition key of all lines, 256 bytes at most"),
                    parameter("key_field", "query", "field that is the partition key"),
                    parameter(
                        "response_time",
                        "query",
                        "unit of a response time at the end of access log lines",
                        {"enum": ["", "s", "ms", "us"]},
                    ),
                    _PRODUCER,
                    _ENCODING,
                ],
                as_json(named("Receipt")),
                ("413", "429"),
                body=body_of(BINARY, required=True, application_x_ndjson=BINARY, text_plain=BINARY),
            )
        },
        "/v1/otlp/v1/logs": {"post": _otlp()},
    }


def _otlp() -> dict[str, Any]:
    """OTLP/HTTP 1: answers in the type of the request, errors as google.rpc.Status."""
    told = operation(
        "Take in OpenTelemetry logs, an ExportLogsServiceRequest; answers once they are durable",
        [
            parameter("key", "query", "partition key of all records, 256 bytes at most"),
            parameter("key_field", "query", "field that is the partition key"),
            _PRODUCER,
            _ENCODING,
        ],
        body=body_of(named("OtlpLogs"), required=True, application_x_protobuf=BINARY),
    )
    said = {code: EVERYWHERE.get(code) or SAID[code] for code in ("400", "413", "429", "503")}
    said |= {"415": "neither protobuf nor JSON"}
    told["responses"] = {
        "200": {
            "description": "stored; records that became dead letters are told as rejected",
            "content": _otlp_content(named("OtlpAnswer")),
        },
        "403": told["responses"]["403"],
        **{code: {"description": text, "content": _otlp_content(named("OtlpStatus"))} for code, text in said.items()},
    }
    return told


def _otlp_content(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}, "application/x-protobuf": {"schema": BINARY}}


def _view_paths() -> dict[str, Any]:
    """The merged views."""
    name = parameter("name", "path", "name of the view")
    return {
        "/v1/views": {
            "get": operation("List the views and how each stands", answer=as_json(record(views=listed(named("View")))))
        },
        "/v1/views/{name}": {
            "get": operation(
                "The merged, exact rows of a view; as Arrow where `Accept` asks for it",
                [
                    name,
                    _FROM,
                    _TO,
                    _STEP,
                    parameter(
                        "over",
                        "query",
                        "hopping windows of this length, one beginning every `step`, each of all its data; a multiple of the step",
                        _DURATION,
                    ),
                    _TOTAL,
                    _WHERE,
                    parameter(
                        "top",
                        "query",
                        "only the n largest keys, the rest merged to one; needs `by`",
                        whole(1, 999_999_999),
                    ),
                    parameter("by", "query", "column that `top` ranks by"),
                    parameter(
                        "key", "query", "key column that `top` ranks; without it, all keys together; needs `top`"
                    ),
                    parameter(
                        "columns",
                        "query",
                        "only these numbers, by name, with commas between them; the keys always come",
                    ),
                    parameter(
                        "keys",
                        "query",
                        "only these of the view's keys, with commas between them; rows that differ in the others alone are merged",
                    ),
                    parameter("limit", "query", "rows at most", whole(1, 50_000, 50_000)),
                    parameter(
                        "at",
                        "query",
                        "as it stood at this position: `position` (as JSON) or `position_token` of an earlier answer",
                    ),
                ],
                {"application/json": named("ViewAnswer"), "application/vnd.apache.arrow.stream": BINARY},
                ("404", "408", "410", "413"),
            )
        },
        "/v1/views/{name}/diff": {
            "get": operation(
                "What a changed view changed: rows of the version before and of the one that answers now",
                [
                    name,
                    _FROM,
                    _TO,
                    _STEP,
                    _TOTAL,
                    _WHERE,
                    parameter("limit", "query", "differences at most", whole(0, 10_000, 100)),
                ],
                as_json(named("Difference")),
                ("404", "413"),
            )
        },
        "/v1/views/{name}/rebuild": {
            "post": operation(
                "Compute it anew from history; it answers as it is until then",
                [name],
                as_json(record(view=TEXT, status=TEXT)),
                ("404",),
                "202",
            )
        },
        "/v1/views/{name}/rollback": {
            "post": operation(
                "Let the version before this one answer again; once more, and this one does",
                [name],
                as_json(record(view=TEXT, version=TEXT, left=TEXT, sql=TEXT)),
                ("404",),
                "202",
            )
        },
        "/v1/explain/{name}": {
            "get": operation(
                "How one window's numbers came about: batch part, speed part, frontier, merge",
                [name, parameter("window", "query", "an instant inside the window") | {"required": True}, _WHERE],
                as_json(named("Explanation")),
                ("404",),
            )
        },
    }


def _pin_paths() -> dict[str, Any]:
    """Results that stay the same for ever."""
    pin = parameter("id", "path", "as listed")
    return {
        "/v1/pins": {
            "get": operation(
                "List the pins, newest first; of one that is damaged, its id and the error",
                answer=as_json(record(pins=listed({"anyOf": [named("Pin"), named("DamagedPin")]}))),
            ),
            "post": operation(
                "Pin a view's result: times made absolute, position and version fixed, stored before the answer",
                answer=as_json(named("Pin")),
                errors=("404", "408", "409", "410", "413"),
                status="201",
                body=body_of(named("PinAsked"), required=True),
            ),
        },
        "/v1/pins/{id}": {
            "get": operation(
                "The stored result, and whether the same comes out when it is computed again",
                [pin],
                as_json(named("PinnedResult")),
                ("404", "500"),
            ),
            "delete": operation(
                "Let go of a pin and its result", [pin], as_json(record(id=TEXT, removed=TRUTH)), ("404",)
            ),
        },
    }


def _shard_paths() -> dict[str, Any]:
    """The shards of the stream."""
    shard = parameter("id", "path", "an open shard, e.g. shardId-000000000000")
    at = {
        "anyOf": [{"type": "string", "pattern": "^[0-9]{1,39}$"}, {"type": "integer"}],
        "description": "first hash key of the second child; default: the middle",
    }
    split = {"type": "object", "additionalProperties": False, "properties": {"new_starting_hash_key": at}}
    merge = record(adjacent={"type": "string", "description": "the other shard"}) | {"additionalProperties": False}
    return {
        "/v1/shards": {
            "get": operation(
                "List the shards, open and closed", answer=as_json(record(shards=listed(named("Shard")), open=COUNT))
            )
        },
        "/v1/shards/{id}/split": {
            "post": operation(
                "Close a shard; two new ones take its place",
                [shard],
                as_json(named("Resharded")),
                ("404", "409"),
                body=body_of(split, required=False),
            )
        },
        "/v1/shards/{id}/merge": {
            "post": operation(
                "Close two shards whose hash ranges touch; one new shard takes their place",
                [shard],
                as_json(named("Resharded")),
                ("404", "409"),
                body=body_of(merge, required=True),
            )
        },
    }


def _record_paths() -> dict[str, Any]:
    """Queries, tails, dead letters."""
    formats = ["json", "csv", "parquet", "arrow"]
    query = record({"format": {"type": ["string", "null"], "enum": [*formats, None]}}, sql=TEXT) | {
        "additionalProperties": False
    }
    verdict = parameter("verdict", "query", "only of this kind, e.g. no_timestamp")
    return {
        "/v1/query": {
            "post": operation(
                "Read-only SQL over `logs`, the streams and the views",
                [parameter("format", "query", "of the answer; `Accept` says it too", {"enum": formats})],
                {
                    "application/json": named("QueryAnswer"),
                    "text/csv": TEXT,
                    "application/vnd.apache.parquet": BINARY,
                    "application/vnd.apache.arrow.stream": BINARY,
                },
                ("408", "413"),
                body=body_of(query, required=True, text_plain=TEXT),
            )
        },
        "/v1/tail": {
            "get": operation(
                "The newest records as server-sent events",
                [
                    parameter("query", "query", "search in the language of docs/explore.md"),
                    parameter("where", "query", "SQL condition over the record"),
                    parameter("stream", "query", "only records of this stream"),
                    parameter("limit", "query", "records to begin with", whole(0, 1000, 50)),
                ],
                {"text/event-stream": TEXT},
                ("404",),
            )
        },
        "/v1/streams": {
            "get": operation(
                "List the streams: condition, source, the views on each, and what is wrong",
                answer=as_json(record(streams=listed(named("Stream")))),
            )
        },
        "/v1/deadletters": {
            "get": operation(
                "The newest lines that could not be read, and how many are kept",
                [parameter("limit", "query", "at most so many", whole(1, 1000, 50)), verdict],
                as_json(record(dead_letters=listed(named("DeadLetter")), total=COUNT)),
            )
        },
        "/v1/deadletters/redrive": {
            "post": operation(
                "Read dead letters anew and append those that can be read, each once; with `preview`, only say which",
                answer=as_json(named("Redriven")),
                errors=("404", "429"),
                body=body_of(named("Redrive"), required=False),
            )
        },
        "/v1/deadletters/{id}": {
            "get": operation(
                "One of them, whole",
                [
                    parameter("id", "path", "as listed, e.g. 0-1234"),
                    parameter("raw", "query", "its bytes alone, as they came", TRUTH),
                ],
                {"application/json": named("DeadLetter"), "application/octet-stream": BINARY},
                ("404",),
            )
        },
    }


def _node_paths() -> dict[str, Any]:
    """How the node is."""
    plain = {"text/plain": TEXT}
    live = operation("WebSocket: subscribe to views, receive frames")
    return {
        "/v1/live": {"get": live | {"responses": {"101": {"description": "switching protocols"}}}},
        "/v1/pipeline": {
            "get": operation(
                "Shards, lag, frontier, ledger, dead letters, processes", answer=as_json(named("Pipeline"))
            )
        },
        "/metrics": {"get": operation("Prometheus metrics", answer=plain)},
        "/healthz": {"get": operation("Alive", answer=plain)},
        "/readyz": {"get": operation("Every shipped view answers", answer=plain)},
        "/openapi.json": {"get": operation("This document")},
    }
