"""`/v1/catalog`: what SQL can name: tables with their columns, and functions. For completion in an editor."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import duckdb
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.encode import json_response, known_parameters
from tailrace.dashboard.services import NodeServices
from tailrace.model.fields import Fields
from tailrace.serving.sql.functions import TABLE_FUNCTIONS, is_refused
from tailrace.serving.sql.logs import LOGS, logs_schema
from tailrace.views import CompiledView

_NOT_KEYS = ("key", "window")


async def read_catalog(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    return json_response(await asyncio.to_thread(_catalog, services))


def _catalog(services: NodeServices) -> dict[str, Any]:
    state = services.follower.catalog.state
    columns = _log_columns(services.settings.fields)
    pinned = services.follower.pinned
    served = dict(pinned.views) if pinned else {}
    tables = [{"name": LOGS, "kind": "logs", "about": "every record", "columns": columns}]
    tables += [
        {"name": stream.name, "kind": "stream", "about": stream.texts[-1], "columns": columns}
        for _, stream in sorted(state.streams.items())
    ]
    tables += [
        {"name": name, "kind": "view", "about": f"over {view.reads}", "columns": _view_columns(view)}
        for name, view in sorted(served.items())
    ]
    return {"tables": tables, "functions": functions()}


def _view_columns(view: CompiledView) -> list[dict[str, Any]]:
    return [_column(o.name, o.sql_type, o.kind, o.kind in _NOT_KEYS, o.unit) for o in view.outputs]


def _log_columns(fields: Fields) -> list[dict[str, Any]]:
    units = {field.name: field.unit for field in fields.all}
    with duckdb.connect() as engine:
        relation = engine.from_arrow(logs_schema(fields).empty_table())
        found = zip(relation.columns, relation.types, strict=True)
        return [_column(name, str(kind), "field", False, units.get(name) or None) for name, kind in found]


def _column(name: str, sql_type: str, kind: str, key: bool, unit: str | None) -> dict[str, Any]:
    return {"name": name, "type": sql_type, "kind": kind, "key": key, "unit": unit}


@cache
def functions() -> list[dict[str, str]]:
    """Those that users' SQL may call, by name; `kind`: scalar, aggregate, macro or table."""
    with duckdb.connect() as engine:
        rows = engine.execute(
            "SELECT function_name, min(function_type) FROM duckdb_functions()"
            " WHERE function_type IN ('scalar', 'aggregate', 'macro')"
            " AND regexp_full_match(function_name, '[a-z][a-z0-9_]*') GROUP BY ALL"
        ).fetchall()
    found = {str(name): str(kind) for name, kind in rows if not is_refused(name)}
    found |= dict.fromkeys(TABLE_FUNCTIONS, "table")
    return [{"name": name, "kind": kind} for name, kind in sorted(found.items())]
