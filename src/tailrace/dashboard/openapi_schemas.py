"""What the node answers and takes, as JSON Schema: `components` of the OpenAPI document."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "description": "ISO 8601, in UTC"}
COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(optional: dict[str, Schema] | None = None, /, **members: Schema) -> Schema:
    """An object that has all `members`, and perhaps `optional` ones."""
    return {"type": "object", "required": list(members), "properties": members | (optional or {})}


SEQUENCE: Schema = {"type": "string", "pattern": "^49[0-9]{54}$", "description": "sequence number"}
POSITION: Schema = {
    "type": "object",
    "additionalProperties": maybe(SEQUENCE),
    "description": "shard -> sequence number of the last line",
}
FRONTIER: Schema = {**COUNTS, "description": "shard -> last epoch that batch covers"}
ROWS: Schema = listed(listed({}))
PART: dict[str, Schema] = {"columns": listed(TEXT), "rows": ROWS}

_ERROR = record(error=record({"file": TEXT, "revision": TEXT}, code=TEXT, message=TEXT, hint=TEXT))
_SHARD = record(
    id=TEXT,
    state={"enum": ["open", "closed"]},
    hash_first={"type": "string", "description": "first hash key of its range, a number of 128 bits"},
    hash_last=TEXT,
    share={"type": "number", "description": "of the hash keys, from 0 to 1"},
    parents=listed(TEXT),
    children=listed(TEXT),
    created_at=INSTANT,
    lines={**COUNT, "description": "ever given to it"},
    lines_kept=COUNT,
    bytes=COUNT,
    first_sequence_number=maybe({**SEQUENCE, "description": "of the lines kept"}),
    last_sequence_number=maybe(SEQUENCE),
    first_epoch=COUNT,
    open_epoch=maybe(COUNT),
    last_epoch=maybe({**COUNT, "description": "of a closed shard"}),
)
_SOURCE = record(
    states=record(segments=COUNT, records=COUNT), recomputed=record(lake_records=COUNT, stream_records=COUNT)
)
_VIEW_ANSWER = record(
    {"source": {**_SOURCE, "description": "with `at`: records by the states they are in, and those computed again"}},
    view=TEXT,
    version=TEXT,
    **PART,
    others={**COUNT, "description": "keys that `top` merged to one"},
    truncated=TRUTH,
    kept_from=maybe({**INSTANT, "description": "windows that start before it have been let go"}),
    position=POSITION,
    position_token={**TEXT, "description": "the same in one word"},
    frontier=FRONTIER,
    complete_through=maybe(
        {"type": "string", "description": "every record acknowledged before this instant is in the rows"}
    ),
    newest_event_at=maybe(INSTANT),
    drift_rows=COUNT,
    batch_only={
        **TRUTH,
        "description": "the view has more keys than the speed layer holds: the rows are those up to the frontier",
    },
    absent_records={**COUNT, "description": "that the lake had let go before the version was built"},
)
_VIEW = record(
    {
        "error": record({"file": TEXT}, message=TEXT, hint=TEXT),
        "version": TEXT,
        "served_version": maybe(TEXT),
        "previous_version": maybe(TEXT),
        "asked_version": TEXT,
        "progress": record(rows_done=COUNT, rows=COUNT),
        "reads": TEXT,
        "keys": listed(TEXT),
        "window_ms": COUNT,
        "columns": listed(record(name=TEXT, kind=TEXT, unit=maybe(TEXT))),
        "sql": TEXT,
        "drift_rows": COUNT,
        "batch_only": TRUTH,
        "shipped": TRUTH,
    },
    name=TEXT,
    status={"enum": ["live", "building", "rebuilding", "rolled back", "failed"]},
)
_STREAM = record(
    {
        "reads": TEXT,
        "condition": TEXT,
        "definition": TEXT,
        "sql": TEXT,
        "views": listed(TEXT),
        "streams": listed(TEXT),
        "error": maybe(record({"file": TEXT}, message=TEXT, hint=TEXT)),
    },
    name=TEXT,
    status={"enum": ["live", "failed"]},
)
_PLACED: dict[str, Schema] = {
    "id": TEXT,
    "shard": TEXT,
    "sequence_number": SEQUENCE,
    "arrived_at": INSTANT,
    "reason": TEXT,
    "redriven_at": maybe(INSTANT),
}
_DEAD_LETTER = record(
    {"raw": {**TEXT, "description": "where it is text"}, "raw_base64": {**TEXT, "description": "where it is not"}},
    **_PLACED,
    verdict=TEXT,
    bytes=COUNT,
)
_REDRIVE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ids": listed(TEXT),
        "verdict": maybe(TEXT),
        "format": {"type": "string", "default": "json"},
        "key_field": TEXT,
        "response_time": TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "preview": {"type": "boolean", "default": False},
    },
}
_REDRIVEN = record(
    preview=TRUTH,
    looked_at=COUNT,
    readable=COUNT,
    unreadable=COUNT,
    already=COUNT,
    accepted=COUNT,
    deduplicated=COUNT,
    reasons=COUNTS,
    samples=listed(record(id=TEXT, record={"type": ["object", "null"]}, reason=maybe(TEXT))),
)
_RECEIPT = record(
    {"hint": TEXT},
    accepted=COUNT,
    dead_lettered=listed(record(line={"type": "integer", "minimum": 1}, reason=TEXT)),
    dead_lettered_total=COUNT,
    deduplicated=COUNT,
    position={"type": "object", "additionalProperties": SEQUENCE},
)
_SIDE: dict[str, Schema] = {"shard": TEXT, "records": COUNT}
_EXPLANATION = record(
    view=TEXT,
    version=TEXT,
    window_start=INSTANT,
    window_end=INSTANT,
    frontier=FRONTIER,
    shards=listed(record(id=TEXT, first_epoch=COUNT, last_epoch=maybe(COUNT))),
    position=POSITION,
    batch=record(
        segments=listed(record(id=TEXT, epoch_first=COUNT, epoch_last=COUNT, state_rows=COUNT, **_SIDE)), **PART
    ),
    speed=record(epochs=listed(record(epoch=COUNT, sealed=TRUTH, **_SIDE)), **PART),
    merged=record(**PART),
    drift_rows=COUNT,
    sql=TEXT,
)
_DIFFERENCE = record(
    view=TEXT,
    before=TEXT,
    now=TEXT,
    compared=listed(TEXT),
    only_before=listed(TEXT),
    only_now=listed(TEXT),
    rows=record(before=COUNT, now=COUNT, equal=COUNT, changed=COUNT, gone=COUNT, new=COUNT),
    differences=listed({"type": "object"}),
)
_PIPELINE = record(
    node=record(version=TEXT, started_at=INSTANT, uptime_s=COUNT, now=INSTANT, problem=maybe({"type": "object"})),
    generation=COUNT,
    frontier=FRONTIER,
    frontier_age_s=NUMBER,
    complete_through=maybe(INSTANT),
    newest_event_at=maybe(INSTANT),
    shards=listed(
        record(
            id=TEXT,
            state={"enum": ["open", "closed"]},
            position=maybe(SEQUENCE),
            lines=COUNT,
            bytes=COUNT,
            lines_per_s=NUMBER,
            open_epoch=COUNT,
            sealed_epoch=COUNT,
            frontier_epoch=COUNT,
            frontier_age_s=NUMBER,
            speed_lag_lines=COUNT,
            batch_lag_lines=COUNT,
        )
    ),
    lake=record(rows=COUNT, files=COUNT, bytes=COUNT, let_go_rows=COUNT, snapshot=maybe(TEXT)),
    disk=record(used_percent=NUMBER, free_bytes=COUNT, full=TRUTH),
    views=listed(
        record(
            name=TEXT,
            version=TEXT,
            status={"enum": ["live", "catching up"]},
            drift_rows=COUNT,
            batch_only=TRUTH,
            unchecked_epochs=COUNT,
            segments=COUNT,
            state_rows=COUNT,
            state_bytes=COUNT,
        )
    ),
    ledger=record(
        received=COUNT,
        stored=COUNT,
        dead_lettered=COUNT,
        deduplicated=COUNT,
        speed=COUNT,
        lake=COUNT,
        batch=COUNT,
        balanced=TRUTH,
        unhashed_epochs=COUNT,
        first_difference={"type": ["object", "null"]},
    ),
    dead_letters=record(count=COUNT, recent=listed(record(raw=TEXT, raw_bytes=COUNT, **_PLACED))),
    findings=listed(
        record(
            view=TEXT,
            shard=TEXT,
            epoch_first=COUNT,
            epoch_last=COUNT,
            differing_rows=COUNT,
            found_at=INSTANT,
            sample=listed({"type": "object"}),
            acknowledged=TRUTH,
        )
    ),
    processes=listed(record(role=TEXT, pid=COUNT, rss_bytes=maybe(COUNT))),
)
_QUERY_ANSWER = record(
    columns=listed(record(name=TEXT, type=TEXT)),
    rows=ROWS,
    truncated=TRUTH,
    rows_scanned=COUNT,
    elapsed_ms=NUMBER,
)

_PIN: dict[str, Schema] = {
    "id": TEXT,
    "view": TEXT,
    "version": TEXT,
    "query": {"type": "object", "additionalProperties": TEXT},
    "position": POSITION,
    "position_token": TEXT,
    "created": INSTANT,
    "row_count": COUNT,
    "bytes": {**COUNT, "description": "of the result as JSON"},
}
_PINNED = record(
    **_PIN,
    **PART,
    others=COUNT,
    truncated=TRUTH,
    checked={**TRUTH, "description": "it was computed again now"},
    differs={**TRUTH, "description": "computed again it is another result, which must not be"},
    archived={**TRUTH, "description": "it can be computed no more: records or version are gone"},
    reason=maybe({**TEXT, "description": "why it was not computed again"}),
    difference={"type": ["object", "null"], "description": "the first row that differs, both ways"},
    source=maybe(_SOURCE),
)
_PIN_ASKED: Schema = {
    "type": "object",
    "required": ["view"],
    "additionalProperties": False,
    "properties": {
        "view": TEXT,
        "query": {
            "type": "object",
            "description": "parameters of /v1/views/{name}, `at` too; `from` and `to` may be now or now-1h",
        },
    },
}

_OTLP_LOGS: Schema = {
    "type": "object",
    "description": "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest, as opentelemetry.io/docs/specs/otlp describes it",
    "properties": {"resourceLogs": maybe(listed({"type": "object"}))},
}
_OTLP_ANSWER: Schema = {
    "type": "object",
    "description": "ExportLogsServiceResponse",
    "properties": {
        "partialSuccess": record(
            rejectedLogRecords={"type": "string", "pattern": "^[0-9]+$", "description": "kept as dead letters"},
            errorMessage=TEXT,
        )
    },
}

SCHEMAS: dict[str, Schema] = {
    "Error": _ERROR,
    "Receipt": _RECEIPT,
    "OtlpLogs": _OTLP_LOGS,
    "OtlpAnswer": _OTLP_ANSWER,
    "OtlpStatus": {**record(code=COUNT, message=TEXT), "description": "google.rpc.Status"},
    "View": _VIEW,
    "ViewAnswer": _VIEW_ANSWER,
    "Difference": _DIFFERENCE,
    "Explanation": _EXPLANATION,
    "Stream": _STREAM,
    "Shard": _SHARD,
    "Resharded": record(closed=listed(named("Shard")), children=listed(named("Shard"))),
    "DeadLetter": _DEAD_LETTER,
    "Redrive": _REDRIVE,
    "Redriven": _REDRIVEN,
    "Pin": record(**_PIN),
    "DamagedPin": record(id=TEXT, error=_ERROR["properties"]["error"]),
    "PinnedResult": _PINNED,
    "PinAsked": _PIN_ASKED,
    "Pipeline": _PIPELINE,
    "QueryAnswer": _QUERY_ANSWER,
}
