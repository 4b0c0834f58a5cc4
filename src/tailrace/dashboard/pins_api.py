"""`/v1/pins`, `/v1/pins/{id}`: results that stay the same for ever, and are computed again whenever somebody looks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.access import grants_of, may_read_version, require_version, require_view
from tailrace.dashboard.encode import encode, json_response, known_parameters
from tailrace.dashboard.past import ask_past
from tailrace.dashboard.services import NodeServices
from tailrace.dashboard.views_api import QUERY_NAMES, view_query
from tailrace.errors import Expired, Invalid, TailraceError, TooLarge
from tailrace.model.position import parse_position
from tailrace.model.scopes import QUERY
from tailrace.model.window import iso
from tailrace.runtime.ids import unique_id
from tailrace.serving.pins import (
    ARCHIVED,
    DIFFERS,
    LIVE,
    UNCHECKED,
    Answered,
    Difference,
    Result,
    absolute,
    compared,
    count_rows,
    result_of,
)
from tailrace.serving.subscribe import answer_meta
from tailrace.states.pins import Pin
from tailrace.telemetry.metrics import PIN_READS

LOG = logging.getLogger(__name__)
BODY_BYTES_MAX = 262_144


class PinAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`query`: parameters of `/v1/views/{name}`; `from` and `to` may also be `now` or `now-1h`."""

    view: str
    query: dict[str, Any] = {}


async def add_pin(request: Request) -> Response:
    """201: it is on disk. Without `at` in the query, the position is that of now."""
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    asked = await _asked(request)
    now_us = services.clock.now_us()
    params = absolute(asked.query, now_us)
    at = params.pop("at", None)
    require_view(services, grants_of(request), asked.view)
    answered = await _answered(request, asked.view, params, at)
    require_version(services, grants_of(request), asked.view, answered.version)
    if answered.kept_from is not None:
        params.setdefault("from", answered.kept_from)
    pinned = services.pinned()
    sql = next((s.sql for s in pinned.manifest.standing() if s.version == answered.version), "")
    pin = Pin(
        id=unique_id(),
        view=asked.view,
        version=answered.version,
        sql=sql,
        query=params,
        position=answered.position,
        position_token=answered.position_token,
        created_us=now_us,
        rows=count_rows(answered),
    )
    kept = await asyncio.to_thread(services.pins.add, pin, result_of(answered))
    return json_response(_shown(kept), 201)


async def list_pins(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    found = await asyncio.to_thread(services.pins.all)
    grants = grants_of(request)
    rows = [
        _shown(each) if isinstance(each, Pin) else {"id": each[0], **each[1].as_json()}
        for each in found
        if grants.whole(QUERY)
        or (isinstance(each, Pin) and may_read_version(services, grants, each.view, each.version))
    ]
    return json_response({"pins": rows})


async def read_pin(request: Request) -> Response:
    """The stored result, and what came of computing it again."""
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    pin, stored = await asyncio.to_thread(services.pins.one, request.path_params["id"])
    require_version(services, grants_of(request), pin.view, pin.version)
    outcome, reason, difference, source = await _looked_up(request, pin, stored)
    services.metrics.add(PIN_READS, 1, outcome)
    if outcome == DIFFERS:
        LOG.error("pin %s of view %s: computed again, its result is another one", pin.id, pin.view)
    result = msgspec.json.decode(stored, type=Result)
    return json_response(
        {
            **_shown(pin),
            "archived": outcome == ARCHIVED,
            "checked": outcome in (LIVE, DIFFERS),
            "differs": outcome == DIFFERS,
            "reason": reason,
            "difference": difference,
            "columns": result.columns,
            "rows": result.rows,
            "others": result.others,
            "truncated": result.truncated,
            "source": source,
        }
    )


async def remove_pin(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    pin_id = request.path_params["id"]
    grants = grants_of(request)
    if not grants.whole(QUERY):
        pin, _ = await asyncio.to_thread(services.pins.one, pin_id)
        require_version(services, grants, pin.view, pin.version)
    await asyncio.to_thread(services.pins.remove, pin_id)
    return json_response({"id": pin_id, "removed": True})


async def _looked_up(
    request: Request, pin: Pin, stored: bytes
) -> tuple[str, str | None, Difference | None, msgspec.Raw | None]:
    """(outcome, why it could not be compared, where it differs, of what it was computed again)."""
    services: NodeServices = request.app.state.services
    try:
        shards = await asyncio.to_thread(services.stream.shards)
        ends = parse_position(msgspec.json.encode(pin.position).decode(), shards)
        body = await ask_past(request, pin.view, view_query(pin.query), ends, pin.version)
    except Expired as error:
        return ARCHIVED, error.message, None, None
    except TailraceError as error:
        return UNCHECKED, error.message, None, None
    found = msgspec.json.decode(body, type=Answered)
    difference = compared(stored, result_of(found))
    return (LIVE if difference is None else DIFFERS), None, difference, found.source


async def _answered(request: Request, view: str, params: dict[str, str], at: str | None) -> Answered:
    services: NodeServices = request.app.state.services
    for name in params.keys() - QUERY_NAMES:
        raise Invalid(f"unknown parameter `{name}` in the query", hint=f"known: {', '.join(sorted(QUERY_NAMES))}")
    query = view_query(params)
    if at is not None:
        ends = parse_position(at, await asyncio.to_thread(services.stream.shards))
        return msgspec.json.decode(await ask_past(request, view, query, ends), type=Answered)

    def answer() -> bytes:
        pinned = services.fresh(view)
        return encode(answer_meta(services.merger.answer(pinned, view, query), pinned))

    return msgspec.json.decode(await asyncio.to_thread(answer), type=Answered)


async def _asked(request: Request) -> PinAsked:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"the body has more than `{BODY_BYTES_MAX:,}` bytes")
    try:
        return msgspec.json.decode(bytes(body), type=PinAsked)
    except msgspec.MsgspecError as error:
        hint = 'send {"view": "endpoint_health", "query": {"from": "now-1h", "step": "1m"}}'
        raise Invalid(f"the body is not a pin: {error}", hint=hint) from error


def _shown(pin: Pin) -> dict[str, Any]:
    return {
        "id": pin.id,
        "view": pin.view,
        "version": pin.version,
        "query": pin.query,
        "position": pin.position,
        "position_token": pin.position_token,
        "created": iso(pin.created_us),
        "row_count": pin.rows,
        "bytes": pin.bytes,
    }
