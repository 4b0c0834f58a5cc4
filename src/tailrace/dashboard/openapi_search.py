"""The part of the OpenAPI document about Explore. What is asked comes from the values that are read (`serving.search.asked`)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.dashboard.openapi_parts import BINARY, as_json, body_of, operation, parameter
from tailrace.dashboard.openapi_schemas import TEXT, TRUTH, Schema, listed, named, record
from tailrace.serving.search.asked import (
    CompareAsked,
    ContextAsked,
    ExportAsked,
    FieldsAsked,
    HistogramAsked,
    PageAsked,
    ValuesAsked,
)
from tailrace.serving.search.saved import SavedSearch

_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


_SAMPLE: dict[str, Schema] = {
    "exact": {**TRUTH, "description": "every record in range was looked at; if not, counts are estimates"},
    "rows_read": _COUNT,
    "rows_in_range": _COUNT,
}
_COLUMNS = listed(record(name=TEXT, type=TEXT))
_ROWS = listed(listed({}))
_SIDE = record(records=_COUNT, **_SAMPLE)
_COMPARED_VALUE = record(
    value=_TEXT_OR_NULL,
    others=TRUTH,
    selection=_COUNT,
    baseline=_COUNT,
    selection_share=_NUMBER,
    baseline_share=_NUMBER,
)


def search_schemas() -> dict[str, Schema]:
    asked = (PageAsked, HistogramAsked, FieldsAsked, ValuesAsked, ContextAsked, ExportAsked, CompareAsked, SavedSearch)
    _, made = msgspec.json.schema_components(asked, ref_template="#/components/schemas/{name}")
    made["SavedSearchAsked"] = made.pop("SavedSearch")
    return made | {
        "Page": record(
            columns=_COLUMNS, rows=_ROWS, cursor=_TEXT_OR_NULL, position=TEXT, rows_scanned=_COUNT, elapsed_ms=_NUMBER
        ),
        "Histogram": record(
            step_ms=_COUNT,
            starts=listed(TEXT),
            end=_TEXT_OR_NULL,
            series=listed(record(value=_TEXT_OR_NULL, others=TRUTH, counts=listed(_COUNT))),
            total=_COUNT,
            position=TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "FoundFields": record(
            fields=listed(record(name=TEXT, type=TEXT, unit=_TEXT_OR_NULL, share=_NUMBER, distinct=_COUNT)),
            records=_COUNT,
            position=TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "FoundValues": record(
            field=TEXT,
            values=listed(record(value=TEXT, count=_COUNT, share=_NUMBER)),
            records=_COUNT,
            present=_COUNT,
            distinct=_COUNT,
            numbers={"type": ["object", "null"]},
            position=TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "Context": record(columns=_COLUMNS, rows=_ROWS, index=_COUNT, elapsed_ms=_NUMBER),
        "Compared": record(
            measure=TEXT,
            fields=listed(
                record(field=TEXT, unit=_TEXT_OR_NULL, binned=TRUTH, difference=_NUMBER, values=listed(_COMPARED_VALUE))
            ),
            left_out=listed(TEXT),
            selection=_SIDE,
            baseline=_SIDE,
            position=TEXT,
            elapsed_ms=_NUMBER,
        ),
        "SavedSearch": record(
            name=TEXT,
            title=TEXT,
            query=TEXT,
            sql=_TEXT_OR_NULL,
            columns=listed(TEXT),
            group_by=_TEXT_OR_NULL,
            range=_TEXT_OR_NULL,
        ),
    }


def search_paths() -> dict[str, Any]:
    """Explore."""
    questions = {
        "": ("A page of records, newest first; `cursor` asks for the next, of the same moment", "PageAsked", "Page"),
        "/histogram": ("Records over time, also by the values of a field", "HistogramAsked", "Histogram"),
        "/fields": ("The fields that records have, in how many of them", "FieldsAsked", "FoundFields"),
        "/values": ("The most frequent values of a field", "ValuesAsked", "FoundValues"),
        "/context": ("The records before and after one, in its shard", "ContextAsked", "Context"),
        "/compare": (
            "The fields whose values differ most between a selection and the rest",
            "CompareAsked",
            "Compared",
        ),
    }
    paths: dict[str, Any] = {}
    for path, (summary, asked, answer) in questions.items():
        asked_for = operation(
            summary,
            answer=as_json(named(answer)),
            errors=("404", "408", "413", "500"),
            body=body_of(named(asked), required=path in ("/values", "/context", "/compare")),
        )
        paths[f"/v1/search{path}"] = {"post": asked_for}
    paths["/v1/search/export"] = {
        "post": operation(
            "All records found, as they come; the header `Tailrace-Records` says how many, or `unknown`",
            answer={"text/csv": TEXT, "application/x-ndjson": TEXT, "application/vnd.apache.parquet": BINARY},
            errors=("408", "413", "500"),
            body=body_of(named("ExportAsked"), required=False),
        )
    }
    return paths | _saved_paths()


def _saved_paths() -> dict[str, Any]:
    name = parameter(
        "name", "path", "letters, digits, _ and -", {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"}
    )
    saved = as_json(named("SavedSearch"))
    return {
        "/v1/searches": {
            "get": operation(
                "Saved searches, and files in their folder that are none",
                answer=as_json(record(searches=listed(named("SavedSearch")), problems=listed({"type": "object"}))),
            )
        },
        "/v1/searches/{name}": {
            "get": operation("One of them", [name], saved, ("404",)),
            "put": operation(
                "Save a search", [name], saved, ("413",), body=body_of(named("SavedSearchAsked"), required=True)
            ),
            "delete": operation("Remove one", [name], as_json(record(name=TEXT, removed=TRUTH)), ("404",)),
        },
    }
