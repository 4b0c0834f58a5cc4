"""The OpenAPI 3.1 document of `/openapi.json`, made from one table so that it stays short and true."""

from __future__ import annotations

from typing import Any

from tailrace import __version__

_ERROR = {"$ref": "#/components/schemas/Error"}


def _parameter(name: str, where: str, text: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": {"type": kind}}


def _operation(
    summary: str,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    media: str = "application/json",
    schema: dict[str, Any] | None = None,
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "done", "content": {media: {"schema": schema or {"type": "object"}}}}
    }
    for status in errors:
        responses[str(status)] = {
            "description": "see the error's hint",
            "content": {"application/json": {"schema": _ERROR}},
        }
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def document() -> dict[str, Any]:
    """The whole document as JSON-ready values."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tailrace", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": _ingest_paths() | _view_paths() | _other_paths(),
        "components": {"schemas": _SCHEMAS},
    }


def _ingest_paths() -> dict[str, Any]:
    """What the ingest processes answer."""
    any_bytes = {"schema": {"type": "string", "format": "binary"}}
    return {
        "/v1/logs": {
            "post": _operation(
                "Take in log lines; answers once they are durable",
                [
                    _parameter("format", "query", "json (default: NDJSON, an array or one object), combined, common"),
                    _parameter("key", "query", "partition key of all lines"),
                    _parameter("key_field", "query", "field that is the partition key"),
                    _parameter(
                        "Tailrace-Producer",
                        "header",
                        "ID;EPOCH;N of this post: a retry with the same value is stored once",
                    ),
                ],
                {"application/x-ndjson": any_bytes, "application/json": any_bytes, "text/plain": any_bytes},
                schema={"$ref": "#/components/schemas/Receipt"},
                errors=(400, 413, 429, 503),
            )
        },
    }


def _view_paths() -> dict[str, Any]:
    """The merged views."""
    name = _parameter("name", "path", "name of the view")
    return {
        "/v1/views": {"get": _operation("List the views and how each stands")},
        "/v1/views/{name}": {
            "get": _operation(
                "The merged, exact rows of a view",
                [
                    name,
                    _parameter("from", "query", "first window start, ISO 8601"),
                    _parameter("to", "query", "windows that start before this instant"),
                    _parameter("step", "query", "coarser windows, e.g. 1m; a multiple of the view's, 3650d at most"),
                    _parameter(
                        "over",
                        "query",
                        "hopping windows of this length, one beginning every `step`, each of all its data; a multiple of the step",
                    ),
                    _parameter("total", "query", "true: all windows merged into one row a key", "boolean"),
                    _parameter("where", "query", "SQL condition over the view's keys"),
                    _parameter(
                        "top", "query", "only the n largest keys, the rest merged to one; needs `by`", "integer"
                    ),
                    _parameter("by", "query", "column that `top` ranks by"),
                    _parameter(
                        "key", "query", "key column that `top` ranks; without it, all keys together; needs `top`"
                    ),
                    _parameter("limit", "query", "rows at most: 1 to 50000, which is the default", "integer"),
                ],
                schema={"$ref": "#/components/schemas/ViewAnswer"},
                errors=(400, 404, 503),
            )
        },
        "/v1/explain/{name}": {
            "get": _operation(
                "How one window's numbers came about: batch part, speed part, frontier, merge",
                [
                    name,
                    _parameter("window", "query", "an instant inside the window"),
                    _parameter("where", "query", "SQL condition over the keys"),
                ],
                errors=(400, 404, 503),
            )
        },
    }


def _other_paths() -> dict[str, Any]:
    """Queries, tails, and how the node is."""
    return {
        "/v1/query": {
            "post": _operation(
                "Read-only SQL over `logs`, the streams and the views",
                body={
                    "application/json": {
                        "schema": {"type": "object", "required": ["sql"], "properties": {"sql": {"type": "string"}}}
                    }
                },
                errors=(400, 408, 503),
            )
        },
        "/v1/tail": {
            "get": _operation(
                "The newest records as server-sent events",
                [
                    _parameter("where", "query", "SQL condition over the record"),
                    _parameter("stream", "query", "only records of this stream"),
                    _parameter("limit", "query", "records to begin with: 0 to 1000, default 50", "integer"),
                ],
                media="text/event-stream",
                schema={"type": "string"},
                errors=(400, 404),
            )
        },
        "/v1/streams": {"get": _operation("List the streams: condition, source, the views on each, and what is wrong")},
        "/v1/deadletters": {
            "get": _operation(
                "The newest lines that could not be read, and how many are kept",
                [
                    _parameter("limit", "query", "at most so many: 1 to 1000, default 50", "integer"),
                    _parameter("verdict", "query", "only of this kind, e.g. no_timestamp"),
                ],
                errors=(400,),
            )
        },
        "/v1/deadletters/{id}": {
            "get": _operation(
                "One of them, whole",
                [
                    _parameter("id", "path", "as listed, e.g. 0-1234"),
                    _parameter("raw", "query", "its bytes alone, as they came", "boolean"),
                ],
                errors=(400, 404),
            )
        },
        "/v1/live": {
            "get": _operation("WebSocket: subscribe to views, receive frames")
            | {"responses": {"101": {"description": "switching protocols"}}}
        },
        "/v1/pipeline": {"get": _operation("Shards, lag, frontier, ledger, dead letters, processes", errors=(503,))},
        "/metrics": {
            "get": _operation("Prometheus metrics", media="text/plain", schema={"type": "string"}, errors=(503,))
        },
        "/healthz": {"get": _operation("Alive", media="text/plain", schema={"type": "string"})},
        "/readyz": {
            "get": _operation(
                "Every shipped view answers", media="text/plain", schema={"type": "string"}, errors=(503,)
            )
        },
    }


_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "hint"],
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}},
            }
        },
    },
    "Receipt": {
        "type": "object",
        "required": ["accepted", "dead_lettered", "deduplicated", "position"],
        "properties": {
            "accepted": {"type": "integer"},
            "dead_lettered": {
                "type": "array",
                "items": {"type": "object", "properties": {"line": {"type": "integer"}, "reason": {"type": "string"}}},
            },
            "deduplicated": {"type": "integer"},
            "position": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "ViewAnswer": {
        "type": "object",
        "required": ["columns", "rows", "position", "frontier", "complete_through", "drift_rows"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "array"}},
            "position": {"type": "object"},
            "frontier": {"type": "object"},
            "complete_through": {
                "type": ["string", "null"],
                "description": "every record acknowledged before this instant is in the rows",
            },
            "drift_rows": {"type": "integer"},
        },
    },
}
