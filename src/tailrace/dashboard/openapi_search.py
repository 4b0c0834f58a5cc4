"""What Explore asks and is answered, as JSON Schema. What is asked comes from the values that are read (`serving.search.asked`)."""

from __future__ import annotations

from typing import Any

import msgspec

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

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TRUTH: Schema = {"type": "boolean"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def _record(**members: Schema) -> Schema:
    return {"type": "object", "required": list(members), "properties": members}


def _listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_SAMPLE: dict[str, Schema] = {
    "exact": {**_TRUTH, "description": "every record in range was looked at; if not, counts are estimates"},
    "rows_read": _COUNT,
    "rows_in_range": _COUNT,
}
_COLUMNS = _listed(_record(name=_TEXT, type=_TEXT))
_ROWS = _listed(_listed({}))
_SIDE = _record(records=_COUNT, **_SAMPLE)
_COMPARED_VALUE = _record(
    value=_TEXT_OR_NULL,
    others=_TRUTH,
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
        "Page": _record(
            columns=_COLUMNS, rows=_ROWS, cursor=_TEXT_OR_NULL, position=_TEXT, rows_scanned=_COUNT, elapsed_ms=_NUMBER
        ),
        "Histogram": _record(
            step_ms=_COUNT,
            starts=_listed(_TEXT),
            end=_TEXT_OR_NULL,
            series=_listed(_record(value=_TEXT_OR_NULL, others=_TRUTH, counts=_listed(_COUNT))),
            total=_COUNT,
            position=_TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "FoundFields": _record(
            fields=_listed(_record(name=_TEXT, type=_TEXT, unit=_TEXT_OR_NULL, share=_NUMBER, distinct=_COUNT)),
            records=_COUNT,
            position=_TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "FoundValues": _record(
            field=_TEXT,
            values=_listed(_record(value=_TEXT, count=_COUNT, share=_NUMBER)),
            records=_COUNT,
            present=_COUNT,
            distinct=_COUNT,
            numbers={"type": ["object", "null"]},
            position=_TEXT,
            elapsed_ms=_NUMBER,
            **_SAMPLE,
        ),
        "Context": _record(columns=_COLUMNS, rows=_ROWS, index=_COUNT, elapsed_ms=_NUMBER),
        "Compared": _record(
            measure=_TEXT,
            fields=_listed(
                _record(
                    field=_TEXT, unit=_TEXT_OR_NULL, binned=_TRUTH, difference=_NUMBER, values=_listed(_COMPARED_VALUE)
                )
            ),
            left_out=_listed(_TEXT),
            selection=_SIDE,
            baseline=_SIDE,
            position=_TEXT,
            elapsed_ms=_NUMBER,
        ),
        "SavedSearch": _record(
            name=_TEXT,
            title=_TEXT,
            query=_TEXT,
            sql=_TEXT_OR_NULL,
            columns=_listed(_TEXT),
            group_by=_TEXT_OR_NULL,
            range=_TEXT_OR_NULL,
        ),
    }
