"""The OpenAPI 3.1 document of `/openapi.json`, made from one table so that it stays short and true.

A test asks a running node for everything that is listed here, and holds its answers against it.
"""

from __future__ import annotations

from typing import Any

from tailrace import __version__
from tailrace.dashboard.openapi_access import ACCESS_SCHEMAS, access_paths
from tailrace.dashboard.openapi_schemas import COUNT, SCHEMAS, TEXT, TRUTH, Schema, listed, named, record

_BINARY: Schema = {"type": "string", "format": "binary"}
_EVERYWHERE = {
    "400": "it cannot be understood; see the hint",
    "401": "nobody has logged in and no key is shown, and this node wants one",
    "403": "the scope is missing; or it comes from a page of another site, or asks by a name that is not this node's",
    "503": "ask again after `Retry-After` seconds",
}
_SAID = {
    "404": "there is no such thing",
    "408": "it took too long",
    "409": "somebody else was first",
    "410": "records that are needed have been let go",
    "413": "it is too large",
    "500": "what is stored is damaged",
    "429": "a queue or the disk is full, or it was asked too often: send again after `Retry-After` seconds",
}


def _parameter(name: str, where: str, text: str, schema: Schema | None = None) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": schema or TEXT}


def _whole(least: int, most: int, default: int | None = None) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most} | ({} if default is None else {"default": default})


_DURATION: Schema = {"type": "string", "pattern": "^([0-9]{1,15}(ms|s|m|h|d))+$"}
_FROM = _parameter("from", "query", "first window start, ISO 8601")
_TO = _parameter("to", "query", "windows that start before this instant")
_STEP = _parameter("step", "query", "coarser windows, e.g. 1m; a multiple of the view's, 3650d at most", _DURATION)
_TOTAL = _parameter("total", "query", "all windows merged into one row a key", TRUTH)
_WHERE = _parameter("where", "query", "SQL condition over the view's keys")


def _operation(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    answer: dict[str, Schema] | None = None,
    errors: tuple[str, ...] = (),
    status: str = "200",
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`answer`: by media type. `errors`: besides those that everything may answer."""
    content = {
        media: {"schema": schema} for media, schema in (answer or {"application/json": {"type": "object"}}).items()
    }
    said = _EVERYWHERE | {code: _SAID[code] for code in errors}
    responses: dict[str, Any] = {status: {"description": "done", "content": content}}
    for code, text in sorted(said.items()):
        responses[code] = {"description": text, "content": {"application/json": {"schema": named("Error")}}}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _body(schema: Schema, *, required: bool, **others: Schema) -> dict[str, Any]:
    """JSON, or what else may be sent, by media type."""
    media = {"application/json": schema} | {
        name.replace("_", "/", 1).replace("_", "-"): s for name, s in others.items()
    }
    return {"required": required, "content": {name: {"schema": s} for name, s in media.items()}}


def _json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": schema}


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
        | _shard_paths()
        | _record_paths()
        | _node_paths()
        | access_paths(_operation, _parameter),
        "components": {"schemas": SCHEMAS | ACCESS_SCHEMAS},
    }


def _ingest_paths() -> dict[str, Any]:
    """What the ingest processes answer."""
    return {
        "/v1/logs": {
            "post": _operation(
                "Take in log lines; answers once they are durable",
                [
                    _parameter(
                        "format",
                        "query",
                        "json (NDJSON, an array or one object; default), logfmt, combined, common, or one of the settings",
                    ),
                    _parameter("key", "query", "partition key of all lines, 256 bytes at most"),
                    _parameter("key_field", "query", "field that is the partition key"),
                    _parameter(
                        "response_time",
                        "query",
                        "unit of a response time at the end of access log lines",
                        {"enum": ["", "s", "ms", "us"]},
                    ),
                    _parameter(
                        "Tailrace-Producer",
                        "header",
                        "ID;EPOCH;N of this post: a retry with the same value is stored once",
                        {"type": "string", "pattern": r"^[!-:<-~]{1,256};[0-9]{1,18};[0-9]{1,18}$"},
                    ),
                    _parameter(
                        "Content-Encoding",
                        "header",
                        "how the body is compressed",
                        {"enum": ["", "gzip", "zstd", "identity"]},
                    ),
                ],
                _json(named("Receipt")),
                ("413", "429"),
                body=_body(_BINARY, required=True, application_x_ndjson=_BINARY, text_plain=_BINARY),
            )
        },
    }


def _view_paths() -> dict[str, Any]:
    """The merged views."""
    name = _parameter("name", "path", "name of the view")
    return {
        "/v1/views": {
            "get": _operation("List the views and how each stands", answer=_json(record(views=listed(named("View")))))
        },
        "/v1/views/{name}": {
            "get": _operation(
                "The merged, exact rows of a view; as Arrow where `Accept` asks for it",
                [
                    name,
                    _FROM,
                    _TO,
                    _STEP,
                    _parameter(
                        "over",
                        "query",
                        "hopping windows of this length, one beginning every `step`, each of all its data; a multiple of the step",
                        _DURATION,
                    ),
                    _TOTAL,
                    _WHERE,
                    _parameter(
                        "top",
                        "query",
                        "only the n largest keys, the rest merged to one; needs `by`",
                        _whole(1, 999_999_999),
                    ),
                    _parameter("by", "query", "column that `top` ranks by"),
                    _parameter(
                        "key", "query", "key column that `top` ranks; without it, all keys together; needs `top`"
                    ),
                    _parameter(
                        "columns",
                        "query",
                        "only these numbers, by name, with commas between them; the keys always come",
                    ),
                    _parameter("limit", "query", "rows at most", _whole(1, 50_000, 50_000)),
                    _parameter(
                        "at",
                        "query",
                        "as it stood at this position: `position` (as JSON) or `position_token` of an earlier answer",
                    ),
                ],
                {"application/json": named("ViewAnswer"), "application/vnd.apache.arrow.stream": _BINARY},
                ("404", "408", "410", "413"),
            )
        },
        "/v1/views/{name}/diff": {
            "get": _operation(
                "What a changed view changed: rows of the version before and of the one that answers now",
                [
                    name,
                    _FROM,
                    _TO,
                    _STEP,
                    _TOTAL,
                    _WHERE,
                    _parameter("limit", "query", "differences at most", _whole(0, 10_000, 100)),
                ],
                _json(named("Difference")),
                ("404", "413"),
            )
        },
        "/v1/views/{name}/rebuild": {
            "post": _operation(
                "Compute it anew from history; it answers as it is until then",
                [name],
                _json(record(view=TEXT, status=TEXT)),
                ("404",),
                "202",
            )
        },
        "/v1/views/{name}/rollback": {
            "post": _operation(
                "Let the version before this one answer again; once more, and this one does",
                [name],
                _json(record(view=TEXT, version=TEXT, left=TEXT, sql=TEXT)),
                ("404",),
                "202",
            )
        },
        "/v1/explain/{name}": {
            "get": _operation(
                "How one window's numbers came about: batch part, speed part, frontier, merge",
                [name, _parameter("window", "query", "an instant inside the window") | {"required": True}, _WHERE],
                _json(named("Explanation")),
                ("404",),
            )
        },
    }


def _pin_paths() -> dict[str, Any]:
    """Results that stay the same for ever."""
    pin = _parameter("id", "path", "as listed")
    return {
        "/v1/pins": {
            "get": _operation(
                "List the pins, newest first; of one that is damaged, its id and the error",
                answer=_json(record(pins=listed({"anyOf": [named("Pin"), named("DamagedPin")]}))),
            ),
            "post": _operation(
                "Pin a view's result: times made absolute, position and version fixed, stored before the answer",
                answer=_json(named("Pin")),
                errors=("404", "408", "409", "410", "413"),
                status="201",
                body=_body(named("PinAsked"), required=True),
            ),
        },
        "/v1/pins/{id}": {
            "get": _operation(
                "The stored result, and whether the same comes out when it is computed again",
                [pin],
                _json(named("PinnedResult")),
                ("404", "500"),
            ),
            "delete": _operation(
                "Let go of a pin and its result", [pin], _json(record(id=TEXT, removed=TRUTH)), ("404",)
            ),
        },
    }


def _shard_paths() -> dict[str, Any]:
    """The shards of the stream."""
    shard = _parameter("id", "path", "an open shard, e.g. shardId-000000000000")
    at = {
        "anyOf": [{"type": "string", "pattern": "^[0-9]{1,39}$"}, {"type": "integer"}],
        "description": "first hash key of the second child; default: the middle",
    }
    split = {"type": "object", "additionalProperties": False, "properties": {"new_starting_hash_key": at}}
    merge = record(adjacent={"type": "string", "description": "the other shard"}) | {"additionalProperties": False}
    return {
        "/v1/shards": {
            "get": _operation(
                "List the shards, open and closed", answer=_json(record(shards=listed(named("Shard")), open=COUNT))
            )
        },
        "/v1/shards/{id}/split": {
            "post": _operation(
                "Close a shard; two new ones take its place",
                [shard],
                _json(named("Resharded")),
                ("404", "409"),
                body=_body(split, required=False),
            )
        },
        "/v1/shards/{id}/merge": {
            "post": _operation(
                "Close two shards whose hash ranges touch; one new shard takes their place",
                [shard],
                _json(named("Resharded")),
                ("404", "409"),
                body=_body(merge, required=True),
            )
        },
    }


def _record_paths() -> dict[str, Any]:
    """Queries, tails, dead letters."""
    formats = ["json", "csv", "parquet", "arrow"]
    query = record({"format": {"type": ["string", "null"], "enum": [*formats, None]}}, sql=TEXT) | {
        "additionalProperties": False
    }
    verdict = _parameter("verdict", "query", "only of this kind, e.g. no_timestamp")
    return {
        "/v1/query": {
            "post": _operation(
                "Read-only SQL over `logs`, the streams and the views",
                [_parameter("format", "query", "of the answer; `Accept` says it too", {"enum": formats})],
                {
                    "application/json": named("QueryAnswer"),
                    "text/csv": TEXT,
                    "application/vnd.apache.parquet": _BINARY,
                    "application/vnd.apache.arrow.stream": _BINARY,
                },
                ("408", "413"),
                body=_body(query, required=True, text_plain=TEXT),
            )
        },
        "/v1/tail": {
            "get": _operation(
                "The newest records as server-sent events",
                [
                    _parameter("where", "query", "SQL condition over the record"),
                    _parameter("stream", "query", "only records of this stream"),
                    _parameter("limit", "query", "records to begin with", _whole(0, 1000, 50)),
                ],
                {"text/event-stream": TEXT},
                ("404",),
            )
        },
        "/v1/streams": {
            "get": _operation(
                "List the streams: condition, source, the views on each, and what is wrong",
                answer=_json(record(streams=listed(named("Stream")))),
            )
        },
        "/v1/deadletters": {
            "get": _operation(
                "The newest lines that could not be read, and how many are kept",
                [_parameter("limit", "query", "at most so many", _whole(1, 1000, 50)), verdict],
                _json(record(dead_letters=listed(named("DeadLetter")), total=COUNT)),
            )
        },
        "/v1/deadletters/redrive": {
            "post": _operation(
                "Read dead letters anew and append those that can be read, each once; with `preview`, only say which",
                answer=_json(named("Redriven")),
                errors=("404", "429"),
                body=_body(named("Redrive"), required=False),
            )
        },
        "/v1/deadletters/{id}": {
            "get": _operation(
                "One of them, whole",
                [
                    _parameter("id", "path", "as listed, e.g. 0-1234"),
                    _parameter("raw", "query", "its bytes alone, as they came", TRUTH),
                ],
                {"application/json": named("DeadLetter"), "application/octet-stream": _BINARY},
                ("404",),
            )
        },
    }


def _node_paths() -> dict[str, Any]:
    """How the node is."""
    plain = {"text/plain": TEXT}
    live = _operation("WebSocket: subscribe to views, receive frames")
    return {
        "/v1/live": {"get": live | {"responses": {"101": {"description": "switching protocols"}}}},
        "/v1/pipeline": {
            "get": _operation("Shards, lag, frontier, ledger, dead letters, processes", answer=_json(named("Pipeline")))
        },
        "/metrics": {"get": _operation("Prometheus metrics", answer=plain)},
        "/healthz": {"get": _operation("Alive", answer=plain)},
        "/readyz": {"get": _operation("Every shipped view answers", answer=plain)},
        "/openapi.json": {"get": _operation("This document")},
    }
