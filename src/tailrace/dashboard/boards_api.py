"""`/v1/dashboards` and what is below it: dashboards as they are kept, their versions, and their JSON Schema."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tailrace.access.principal import ANYONE
from tailrace.dashboard.access import asker
from tailrace.dashboard.boards.model import Dashboard
from tailrace.dashboard.boards.read import BYTES_MAX, read_dashboard, whole
from tailrace.dashboard.boards.schema import dashboard_schema
from tailrace.dashboard.boards.store import Kept
from tailrace.dashboard.encode import json_response, known_parameters, truth_of, whole_number
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, TooLarge
from tailrace.model.window import iso


async def list_dashboards(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    kept = await asyncio.to_thread(services.dashboards.all)
    return json_response({"dashboards": [_row(each) for each in kept]})


async def read_one_dashboard(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    return _answer(await asyncio.to_thread(services.dashboards.one, request.path_params["uid"]))


async def save_dashboard(request: Request) -> Response:
    """200: it is on disk. `If-Match`: only if that is the revision now; `If-None-Match: *`: only if there is none yet."""
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"auto"})
    auto = truth_of(params, "auto")
    new = request.headers.get("if-none-match")
    if new not in (None, "*"):
        raise Invalid("`If-None-Match` can only be `*`", hint="leave it out, or use If-Match with a revision")
    expected = _expected(request)
    content = await _body(request)

    def save() -> Kept:
        board = read_dashboard(content)
        _same_uid(board, request.path_params["uid"])
        return services.dashboards.save(board, expected=expected, new=new == "*", auto=auto)

    return _answer(await asyncio.to_thread(save))


async def remove_dashboard(request: Request) -> Response:
    """The own copy goes; where one is shipped under that uid, it is back."""
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    uid, expected = request.path_params["uid"], _expected(request)
    left = await asyncio.to_thread(lambda: services.dashboards.remove(uid, expected=expected))
    return json_response({"uid": uid, "removed": True, "now": None if left is None else left.source})


async def list_dashboard_versions(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    uid = request.path_params["uid"]

    def listed() -> list[dict[str, Any]]:
        found = services.board_history.versions(uid)
        if not found:
            services.dashboards.one(uid)  # to say so if there is no such dashboard at all
        return [_version(each) for each in found]

    return json_response({"uid": uid, "versions": await asyncio.to_thread(listed)})


async def read_dashboard_version(request: Request) -> Response:
    """As it was; to restore it, save it."""
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    uid, n = request.path_params["uid"], whole_number(request.path_params["n"])
    if n is None:
        raise Invalid(
            f"`{request.path_params['n']}` is no number of a version", hint=f"see /v1/dashboards/{uid}/versions"
        )

    def read() -> dict[str, Any]:
        version, content = services.board_history.version(uid, n)
        return {**_version(version), "dashboard": whole(read_dashboard(content))}

    return json_response(await asyncio.to_thread(read))


async def read_dashboard_schema(request: Request) -> Response:
    known_parameters(request, ())
    response = json_response(dashboard_schema())
    response.headers["Content-Type"] = "application/schema+json"
    return response


def _author(request: Request) -> str:
    """Empty where nobody has to log in."""
    principal = asker(request).principal
    return principal.name if principal is not None and principal.kind != ANYONE else ""


def _row(kept: Kept) -> dict[str, Any]:
    board = kept.dashboard
    return {
        "uid": kept.uid,
        "title": board.title if board else kept.uid,
        "description": board.description if board else "",
        "tags": board.tags if board else [],
        "source": kept.source,
        "revision": kept.revision,
        "changed_at": kept.changed_at,
        "error": kept.error.as_json()["error"] if kept.error else None,
    }


def _answer(kept: Kept) -> Response:
    assert kept.dashboard is not None
    response = json_response(
        {
            "dashboard": whole(kept.dashboard),
            "revision": kept.revision,
            "source": kept.source,
            "changed_at": kept.changed_at,
        }
    )
    response.headers["ETag"] = f'"{kept.revision}"'
    return response


def _version(version: Any) -> dict[str, Any]:
    return {
        "n": version.n,
        "revision": version.revision,
        "author": version.author,
        "auto": version.auto,
        "changed_at": iso(version.changed_us) if version.changed_us else None,
        "replaced_at": iso(version.replaced_us),
    }


def _expected(request: Request) -> str | None:
    """The revision of `If-Match`, with or without quotes. Raises Invalid for `*`, which would protect nothing."""
    given = request.headers.get("if-match")
    if given == "*":
        raise Invalid("`If-Match` cannot be `*`", hint="name the revision that you have read, or leave it out")
    return None if given is None else given.strip().removeprefix("W/").strip('"')


def _same_uid(board: Dashboard, uid: str) -> None:
    if board.uid != uid:
        raise Invalid(f"`uid`: `{board.uid}` is not `{uid}`, which the address names", hint="make them the same")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BYTES_MAX:
            raise TooLarge(f"the body has more than `{BYTES_MAX:,}` bytes", hint="divide the dashboard into several")
    return bytes(body)
