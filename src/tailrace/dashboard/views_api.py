"""`/v1/views`, `/v1/views/{name}` and what can be done with one, `/v1/explain/{name}`: the merged views over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.access import grants_of, may_read, readable_views, require_both_versions, require_view
from tailrace.dashboard.encode import json_response, known_parameters, limit_of, truth_of, whole_number
from tailrace.dashboard.past import ask_past
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, TooLarge
from tailrace.model.position import parse_position
from tailrace.model.scopes import ADMIN, QUERY, Grants
from tailrace.model.window import duration_us, parse_iso
from tailrace.serving.explain import explain
from tailrace.serving.merge import ROWS_MAX, ViewQuery
from tailrace.serving.subscribe import answer_meta
from tailrace.serving.version_diff import diff
from tailrace.views import CompiledView

ARROW = "application/vnd.apache.arrow.stream"
WHOLE_ROWS_MAX = 2_000_000
QUERY_NAMES = {"from", "to", "step", "over", "where", "limit", "total", "top", "by", "key", "keys", "columns"}
_DIFF_NAMES = {"from", "to", "step", "total", "where", "limit"}
DIFFERENCES_SHOWN, DIFFERENCES_MAX = 100, 10_000
_EXPLAIN_NAMES = {"window", "where"}


async def list_views(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    grants = grants_of(request)
    rows = await asyncio.to_thread(_views, services)
    if not grants.whole(QUERY):
        catalog = services.follower.catalog.state
        served = readable_views(grants, services.pinned(), catalog) or set()
        rows = [row for row in rows if row["name"] in served and may_read(grants, catalog, row["reads"])]
    return json_response({"views": rows})


async def read_view(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    params = known_parameters(request, QUERY_NAMES | {"at"})
    at = params.pop("at", None)
    query = view_query(params)
    name, grants = request.path_params["name"], grants_of(request)
    require_view(services, grants, name)
    if at is not None:
        return await _past_view(request, name, query, at)
    if ARROW in request.headers.get("accept", ""):
        return Response(await asyncio.to_thread(_whole_view, services, grants, name, query), media_type=ARROW)

    def answer() -> dict[str, Any]:
        pinned = services.fresh(name)
        require_view(services, grants, name, pinned=pinned)
        return {"view": name, **answer_meta(services.merger.answer(pinned, name, query), pinned)}

    return json_response(await asyncio.to_thread(answer))


async def _past_view(request: Request, name: str, query: ViewQuery, at: str) -> Response:
    """As it stood at the position `at`. The query process computes it."""
    if ARROW in request.headers.get("accept", ""):
        raise Invalid("an answer with `at` is JSON only", hint="ask without the Accept header of Arrow")
    services: NodeServices = request.app.state.services
    ends = parse_position(at, await asyncio.to_thread(services.stream.shards))
    return Response(await ask_past(request, name, query, ends), media_type="application/json")


def _whole_view(services: NodeServices, grants: Grants, name: str, query: ViewQuery) -> bytes:
    """All rows as an Arrow stream: how the query process sees a view. Raises TooLarge rather than leave rows out."""
    pinned = services.fresh(name)
    require_view(services, grants, name, pinned=pinned)
    answer = services.merger.answer(pinned, name, replace(query, limit=WHOLE_ROWS_MAX))
    if answer.truncated:
        raise TooLarge(
            f"view `{name}` has more than {WHOLE_ROWS_MAX:,} rows", hint=f"ask /v1/views/{name}?from=&to=&step="
        )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, answer.table.schema) as writer:
        writer.write_table(answer.table)
    return bytes(sink.getvalue())


async def rebuild_view(request: Request) -> Response:
    """202: the batch process computes it anew from history, and it answers as it is until then."""
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    name = request.path_params["name"]
    require_view(services, grants_of(request), name, ADMIN)
    services.pinned().view(name)
    await asyncio.to_thread(services.store.ask_rebuild, name, services.clock.now_us())
    return json_response({"view": name, "status": "rebuilding"}, 202)


async def roll_back_view(request: Request) -> Response:
    """The version before this one answers again, within a second; once more, and this one does."""
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    name = request.path_params["name"]
    require_view(services, grants_of(request), name, ADMIN)
    left = services.pinned().view(name)[0].version
    before = await asyncio.to_thread(services.store.roll_back, name, services.clock.now_us())
    return json_response({"view": name, "version": before.version, "left": left, "sql": before.sql}, 202)


async def diff_view(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    params = known_parameters(request, _DIFF_NAMES)
    limit = limit_of(params, 0, DIFFERENCES_MAX, DIFFERENCES_SHOWN)
    query = view_query({k: v for k, v in params.items() if k != "limit"})
    name = request.path_params["name"]
    require_both_versions(services, grants_of(request), name)
    found = await asyncio.to_thread(lambda: diff(services.merger, services.fresh(name), name, query, limit))
    return json_response(found)


async def explain_view(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    params = known_parameters(request, _EXPLAIN_NAMES)
    if "window" not in params:
        raise Invalid("`window` is missing", hint="add for example ?window=2026-11-22T10:00:00Z")
    name, where = request.path_params["name"], params.get("where")
    at_us = parse_iso(params["window"])
    require_view(services, grants_of(request), name)
    found = await asyncio.to_thread(lambda: explain(services.merger, services.fresh(name), name, at_us, where))
    return json_response(found)


def view_query(params: dict[str, str]) -> ViewQuery:
    """Query parameters of `/v1/views/{name}`. Raises Invalid for a value it does not know."""
    limit = limit_of(params, 1, ROWS_MAX, ROWS_MAX, "as many as there may be")
    return ViewQuery(
        from_us=parse_iso(params["from"]) if "from" in params else None,
        to_us=parse_iso(params["to"]) if "to" in params else None,
        step_us=duration_us(params["step"]) if "step" in params else None,
        over_us=duration_us(params["over"]) if "over" in params else None,
        total=truth_of(params, "total"),
        where=params.get("where"),
        top=_top(params),
        top_key=params.get("key"),
        columns=_names(params, "columns"),
        by=_names(params, "keys"),
        limit=limit,
    )


def _names(params: dict[str, str], name: str) -> tuple[str, ...] | None:
    """Names between commas; none at all of an empty text."""
    if name not in params:
        return None
    return tuple(word.strip() for word in params[name].split(",") if word.strip())


def _top(params: dict[str, str]) -> tuple[str, int] | None:
    """`top=20&by=requests[&key=endpoint]`."""
    if "top" not in params:
        for name in params.keys() & {"by", "key"}:
            raise Invalid(f"`{name}` says nothing without `top`", hint="for example top=20&by=requests&key=endpoint")
        return None
    number = whole_number(params["top"])
    if "by" not in params or number is None:
        raise Invalid("`top` needs a number and a column to rank by", hint="for example top=20&by=requests")
    return params["by"], number


def _views(services: NodeServices) -> list[dict[str, Any]]:
    catalog = services.follower.catalog.state
    pinned = services.follower.pinned
    served = pinned.views if pinned else {}
    states = _states(services)
    listed = [
        {
            **_view_row(view, served.get(view.name), view.name in catalog.shipped, pinned.drift_rows if pinned else {}),
            "batch_only": pinned.speed.of(view.version).batch_only if pinned else False,
            "previous_version": pinned.previous[view.name].version if pinned and view.name in pinned.previous else None,
            **states.get(view.name, {}),
        }
        for view in catalog.views.values()
    ]
    broken = [
        {"name": problem.path, "status": "failed", "error": {"message": problem.message, "hint": problem.hint}}
        for problem in catalog.problems
        if problem.kind == "view"
    ]
    return sorted(listed, key=lambda row: str(row["name"])) + broken


def _states(services: NodeServices) -> dict[str, dict[str, Any]]:
    """What people and batch are doing with views, by name: laid over what the catalog knows."""
    found: dict[str, dict[str, Any]] = {
        name: {"status": "rolled back", "asked_version": version}
        for name, version in services.store.rolled_back().items()
    }
    for name in services.store.rebuilds():
        found[name] = {"status": "rebuilding"}
    for name, build in services.store.builds().items():
        found.setdefault(name, {})["progress"] = {"rows_done": build.rows_done, "rows": build.rows_all}
    return found


def _view_row(wanted: CompiledView, served: CompiledView | None, shipped: bool, drift_rows: Any) -> dict[str, Any]:
    """`live`: this version answers. `building`: history is being computed; an older version may still answer."""
    live = served is not None and served.version == wanted.version
    return {
        "name": wanted.name,
        "version": wanted.version,
        "status": "live" if live else "building",
        "served_version": served.version if served else None,
        "reads": wanted.reads,
        "keys": [key.name for key in wanted.keys],
        "window_ms": wanted.window_us // 1000,
        "columns": [{"name": o.name, "kind": o.kind, "unit": o.unit} for o in wanted.outputs],
        "sql": wanted.sql,
        "drift_rows": drift_rows.get(wanted.version, 0),
        "shipped": shipped,
    }
