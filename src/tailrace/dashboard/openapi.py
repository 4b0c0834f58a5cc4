"""The OpenAPI 3.1 document of `/openapi.json`, made from one table so that it stays short and true."""

from __future__ import annotations

from typing import Any

from tailrace import __version__

_REDRIVE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ids": {"type": "array", "items": {"type": "string"}},
        "verdict": {"type": ["string", "null"]},
        "format": {"type": "string", "default": "json"},
        "key_field": {"type": "string"},
        "response_time": {"type": "string"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "preview": {"type": "boolean", "default": False},
    },
}
_PIN: dict[str, Any] = {
    "id": {"type": "string"},
    "view": {"type": "string"},
    "version": {"type": "string"},
    "query": {"type": "object", "additionalProperties": {"type": "string"}},
    "position": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    "position_token": {"type": "string"},
    "created": {"type": "string"},
    "row_count": {"type": "integer"},
    "bytes": {"type": "integer", "description": "of the result as JSON"},
}
_PINNED: dict[str, Any] = {
    "columns": {"type": "array", "items": {"type": "string"}},
    "rows": {"type": "array", "items": {"type": "array"}, "description": "as stored"},
    "others": {"type": "integer"},
    "truncated": {"type": "boolean"},
    "checked": {"type": "boolean", "description": "it was computed again now"},
    "differs": {"type": "boolean", "description": "computed again it is another result, which must not be"},
    "archived": {"type": "boolean", "description": "it can be computed no more: records or version are gone"},
    "reason": {"type": ["string", "null"], "description": "why it was not computed again"},
    "difference": {"type": ["object", "null"], "description": "the first row that differs, both ways"},
    "source": {"type": ["object", "null"]},
}
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
    status: str = "200",
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        status: {"description": "done", "content": {media: {"schema": schema or {"type": "object"}}}}
    }
    for code in errors:
        responses[str(code)] = {
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
        "paths": _ingest_paths() | _view_paths() | _pin_paths() | _shard_paths() | _other_paths(),
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
                    _parameter(
                        "format", "query", "json (NDJSON, an array or one object; default), logfmt, combined, common"
                    ),
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
                    _parameter(
                        "columns",
                        "query",
                        "only these numbers, by name, with commas between them; the keys always come",
                    ),
                    _parameter("limit", "query", "rows at most: 1 to 50000, which is the default", "integer"),
                    _parameter(
                        "at",
                        "query",
                        "as it stood at this position: `position` (as JSON) or `position_token` of an earlier answer",
                    ),
                ],
                schema={"$ref": "#/components/schemas/ViewAnswer"},
                errors=(400, 404, 408, 410, 413, 503),
            )
        },
        "/v1/views/{name}/diff": {
            "get": _operation(
                "What a changed view changed: rows of the version before and of the one that answers now",
                [
                    name,
                    _parameter("from", "query", "first window start, ISO 8601"),
                    _parameter("to", "query", "windows that start before this instant"),
                    _parameter("step", "query", "coarser windows, e.g. 1m"),
                    _parameter("total", "query", "true: all windows merged into one row a key", "boolean"),
                    _parameter("where", "query", "SQL condition over the view's keys"),
                    _parameter("limit", "query", "differences at most: 0 to 10000, default 100", "integer"),
                ],
                errors=(400, 404, 413, 503),
            )
        },
        "/v1/views/{name}/rebuild": {
            "post": _operation(
                "Compute it anew from history; it answers as it is until then", [name], status="202", errors=(404, 503)
            )
        },
        "/v1/views/{name}/rollback": {
            "post": _operation(
                "Let the version before this one answer again; once more, and this one does",
                [name],
                status="202",
                errors=(404, 503),
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


def _pin_paths() -> dict[str, Any]:
    """Results that stay the same for ever."""
    pin = _parameter("id", "path", "as listed")
    shown = {"$ref": "#/components/schemas/Pin"}
    return {
        "/v1/pins": {
            "get": _operation(
                "List the pins, newest first; of one that is damaged, its id and the error",
                schema={"type": "object", "properties": {"pins": {"type": "array", "items": shown}}},
                errors=(503,),
            ),
            "post": _operation(
                "Pin a view's result: times made absolute, position and version fixed, stored before the answer",
                body={"application/json": {"schema": {"$ref": "#/components/schemas/PinAsked"}}},
                schema=shown,
                status="201",
                errors=(400, 404, 408, 409, 410, 413, 503),
            ),
        },
        "/v1/pins/{id}": {
            "get": _operation(
                "The stored result, and whether the same comes out when it is computed again",
                [pin],
                schema={"$ref": "#/components/schemas/PinnedResult"},
                errors=(404, 500, 503),
            ),
            "delete": _operation("Let go of a pin and its result", [pin], errors=(404, 503)),
        },
    }


def _shard_paths() -> dict[str, Any]:
    """The shards of the stream."""
    shard = _parameter("id", "path", "an open shard, e.g. shardId-000000000000")
    done = {"$ref": "#/components/schemas/Resharded"}
    return {
        "/v1/shards": {
            "get": _operation(
                "List the shards, open and closed",
                schema={
                    "type": "object",
                    "required": ["shards", "open"],
                    "properties": {
                        "shards": {"type": "array", "items": {"$ref": "#/components/schemas/Shard"}},
                        "open": {"type": "integer"},
                    },
                },
                errors=(400, 503),
            )
        },
        "/v1/shards/{id}/split": {
            "post": _operation(
                "Close a shard; two new ones take its place",
                [shard],
                _object_body("new_starting_hash_key", "first hash key of the second child; default: the middle"),
                schema=done,
                errors=(400, 404, 409, 503),
            )
        },
        "/v1/shards/{id}/merge": {
            "post": _operation(
                "Close two shards whose hash ranges touch; one new shard takes their place",
                [shard],
                _object_body("adjacent", "the other shard", required=True),
                schema=done,
                errors=(400, 404, 409, 503),
            )
        },
    }


def _object_body(name: str, about: str, *, required: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": "string", "description": about}}}
    return {"application/json": {"schema": schema | ({"required": [name]} if required else {})}}


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
        "/v1/deadletters/redrive": {
            "post": _operation(
                "Read dead letters anew and append those that can be read, each once; with `preview`, only say which",
                body={"application/json": {"schema": _REDRIVE}},
                errors=(400, 404, 503),
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
    "Shard": {
        "type": "object",
        "required": ["id", "state", "hash_first", "hash_last", "share", "parents", "children", "lines", "bytes"],
        "properties": {
            "id": {"type": "string"},
            "state": {"enum": ["open", "closed"]},
            "hash_first": {"type": "string", "description": "first hash key of its range, a number of 128 bits"},
            "hash_last": {"type": "string"},
            "share": {"type": "number", "description": "of the hash keys, from 0 to 1"},
            "parents": {"type": "array", "items": {"type": "string"}},
            "children": {"type": "array", "items": {"type": "string"}},
            "created_at": {"type": "string"},
            "lines": {"type": "integer", "description": "ever given to it"},
            "lines_kept": {"type": "integer"},
            "bytes": {"type": "integer"},
            "first_sequence_number": {"type": ["string", "null"], "description": "of the lines kept"},
            "last_sequence_number": {"type": ["string", "null"]},
            "first_epoch": {"type": "integer"},
            "open_epoch": {"type": ["integer", "null"]},
            "last_epoch": {"type": ["integer", "null"], "description": "of a closed shard"},
        },
    },
    "Resharded": {
        "type": "object",
        "required": ["closed", "children"],
        "properties": {
            "closed": {"type": "array", "items": {"$ref": "#/components/schemas/Shard"}},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Shard"}},
        },
    },
    "ViewAnswer": {
        "type": "object",
        "required": ["columns", "rows", "position", "frontier", "complete_through", "drift_rows"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "array"}},
            "position": {"type": "object", "description": "shard -> sequence number of its last line that counts"},
            "position_token": {"type": "string", "description": "the same in one word"},
            "frontier": {"type": "object"},
            "complete_through": {
                "type": ["string", "null"],
                "description": "every record acknowledged before this instant is in the rows",
            },
            "drift_rows": {"type": "integer"},
            "batch_only": {
                "type": "boolean",
                "description": "the view has more keys than the speed layer holds: the rows are those up to the frontier",
            },
            "source": {
                "type": "object",
                "description": "with `at`: records taken by the segments they are in, and those computed again",
            },
        },
    },
    "PinAsked": {
        "type": "object",
        "required": ["view"],
        "additionalProperties": False,
        "properties": {
            "view": {"type": "string"},
            "query": {
                "type": "object",
                "description": "parameters of /v1/views/{name}, `at` too; `from` and `to` may be now or now-1h",
            },
        },
    },
    "Pin": {"type": "object", "required": sorted(_PIN), "properties": _PIN},
    "PinnedResult": {
        "type": "object",
        "required": sorted({**_PIN, **_PINNED}),
        "properties": {**_PIN, **_PINNED},
    },
}
