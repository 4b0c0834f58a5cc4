"""`/v1/streams`: the named conditions that divide the records, and what reads them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.access import grants_of, may_read
from tailrace.dashboard.encode import json_response, known_parameters
from tailrace.dashboard.services import NodeServices
from tailrace.model.scopes import QUERY
from tailrace.serving.catalog import CatalogState
from tailrace.views import CompiledStream


async def list_streams(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    grants, catalog = grants_of(request), services.follower.catalog.state
    rows = stream_rows(catalog)
    if not grants.whole(QUERY):
        rows = [row for row in rows if row["name"] in catalog.streams and may_read(grants, catalog, row["name"])]
    return json_response({"streams": rows})


def stream_rows(catalog: CatalogState) -> list[dict[str, Any]]:
    """Those that can be read, by name, each with the problem of its file if there is one; then the files of all others."""
    problems = [problem for problem in catalog.problems if problem.kind == "stream"]
    errors = {p.name: {"file": p.path, "message": p.message, "hint": p.hint} for p in problems if p.name}
    rows = [_row(catalog, stream, errors.get(name)) for name, stream in sorted(catalog.streams.items())]
    failed = [
        {
            "name": problem.name,
            "status": "failed",
            "error": {"file": problem.path, "message": problem.message, "hint": problem.hint},
        }
        for problem in problems
        if problem.name not in catalog.streams
    ]
    return rows + failed


def _row(catalog: CatalogState, stream: CompiledStream, error: dict[str, str] | None) -> dict[str, Any]:
    """`condition`: its own, as written. `definition`: with those of its sources, over `logs`. `error`: of a newer form of its file."""
    return {
        "name": stream.name,
        "status": "live",
        "reads": stream.reads,
        "condition": stream.texts[-1],
        "definition": stream.definition,
        "sql": stream.sql,
        "views": sorted(v.name for v in catalog.views.values() if v.reads == stream.name),
        "streams": sorted(s.name for s in catalog.streams.values() if s.reads == stream.name),
        "error": error,
    }
