"""The part of the OpenAPI document that is about dashboards."""

from __future__ import annotations

from typing import Any

from tailrace.dashboard.boards.annotations import ANSWER_MAX, AnnotationAsked
from tailrace.dashboard.boards.schema import schema_of, schemas
from tailrace.dashboard.openapi_parts import as_json, body_of, operation, parameter, whole
from tailrace.dashboard.openapi_schemas import (
    COUNT,
    INSTANT,
    TEXT,
    TRUTH,
    Schema,
    listed,
    maybe,
    named,
    record,
)

_SOURCE: Schema = {"enum": ["shipped", "own"]}
_ERROR = record(code=TEXT, message=TEXT, hint=TEXT)
_VERSION: dict[str, Schema] = {
    "n": {**COUNT, "minimum": 1},
    "revision": TEXT,
    "author": {**TEXT, "description": "who had saved it, as far as known"},
    "auto": {**TRUTH, "description": "no person had asked for that save"},
    "changed_at": maybe(INSTANT),
    "replaced_at": INSTANT,
}
BOARD_SCHEMAS: dict[str, Schema] = {
    **schemas("#/components/schemas/{name}"),
    "DashboardRow": record(
        uid=TEXT,
        title=TEXT,
        description=TEXT,
        tags=listed(TEXT),
        source=_SOURCE,
        revision={**TEXT, "description": "names the content of the file"},
        changed_at=maybe(INSTANT),
        error=maybe({**_ERROR, "description": "why the file cannot be used"}),
    ),
    "KeptDashboard": record(dashboard=named("Dashboard"), revision=TEXT, source=_SOURCE, changed_at=maybe(INSTANT)),
    "DashboardVersion": record(**_VERSION),
    "AnnotationAsked": schema_of(AnnotationAsked),
    "Annotation": record(
        id=TEXT, at=INSTANT, until=maybe(INSTANT), kind=TEXT, text=TEXT, tags=listed(TEXT), created_at=INSTANT
    ),
    "Catalog": record(
        tables=listed(
            record(
                name=TEXT,
                kind={"enum": ["logs", "stream", "view"]},
                about=TEXT,
                columns=listed(record(name=TEXT, type=TEXT, kind=TEXT, key=TRUTH, unit=maybe(TEXT))),
            )
        ),
        functions=listed(record(name=TEXT, kind={"enum": ["scalar", "aggregate", "macro", "table"]})),
    ),
    "KeptDashboardVersion": record(**_VERSION, dashboard=named("Dashboard")),
}


def board_paths() -> dict[str, Any]:
    """Dashboards and what belongs to them."""
    return _dashboard_paths() | _annotation_paths()


def _annotation_paths() -> dict[str, Any]:
    """Annotations, and what SQL can name."""
    instant = "ISO 8601, or now, or now-1h"
    return {
        "/v1/annotations": {
            "get": operation(
                "What happened when, by time; of more than `limit`, the newest",
                [
                    parameter("from", "query", f"that are not over before this instant: {instant}"),
                    parameter("to", "query", f"that begin before this instant: {instant}"),
                    parameter("limit", "query", "at most so many", whole(1, ANSWER_MAX, ANSWER_MAX)),
                ],
                as_json(record(annotations=listed(named("Annotation")), truncated=TRUTH)),
                ("500",),
            ),
            "post": operation(
                "Tell what happened; `at` is now by default",
                answer=as_json(named("Annotation")),
                errors=("413", "500"),
                status="201",
                body=body_of(named("AnnotationAsked"), required=True),
            ),
        },
        "/v1/annotations/{id}": {
            "delete": operation(
                "Remove one",
                [parameter("id", "path", "as listed")],
                as_json(record(id=TEXT, removed=TRUTH)),
                ("404", "500"),
            )
        },
        "/v1/catalog": {
            "get": operation(
                "What SQL can name: tables with their columns, and functions", answer=as_json(named("Catalog"))
            )
        },
    }


def _dashboard_paths() -> dict[str, Any]:
    """Dashboards, their versions and their schema."""
    uid = parameter("uid", "path", "of the dashboard; its file is UID.json")
    match = parameter("If-Match", "header", "only if this is its revision now")
    kept = as_json(named("KeptDashboard"))
    return {
        "/v1/dashboards": {
            "get": operation(
                "List the dashboards by uid; of a file that cannot be used, the error",
                answer=as_json(record(dashboards=listed(named("DashboardRow")))),
            )
        },
        "/v1/dashboards/schema": {
            "get": operation("The JSON Schema of a dashboard", answer={"application/schema+json": {"type": "object"}})
        },
        "/v1/dashboards/{uid}": {
            "get": operation("A dashboard, with every member", [uid], kept, ("404", "500")),
            "put": operation(
                "Save it as an own file, durably, and keep the version that was there; 409 names the `revision` that is there now",
                [
                    uid,
                    match,
                    parameter("If-None-Match", "header", "`*`: only if there is none yet", {"enum": ["*"]}),
                    parameter(
                        "auto", "query", "no person asked for it: such saves within a minute keep one version", TRUTH
                    ),
                ],
                kept,
                ("404", "409", "413", "500"),
                body=body_of(named("Dashboard"), required=True),
            ),
            "delete": operation(
                "Remove the own file, as a version is kept; where one is shipped under that uid, it is back",
                [uid, match],
                as_json(
                    record(uid=TEXT, removed=TRUTH, now=maybe({**TEXT, "description": "`shipped`: that one is back"}))
                ),
                ("404", "409", "500"),
            ),
        },
        "/v1/dashboards/{uid}/versions": {
            "get": operation(
                "The versions that saves have replaced, newest first, 50 at most",
                [uid],
                as_json(record(uid=TEXT, versions=listed(named("DashboardVersion")))),
                ("404", "500"),
            )
        },
        "/v1/dashboards/{uid}/versions/{n}": {
            "get": operation(
                "One of them; to restore it, save it",
                [uid, parameter("n", "path", "as listed")],
                as_json(named("KeptDashboardVersion")),
                ("404", "500"),
            )
        },
    }
