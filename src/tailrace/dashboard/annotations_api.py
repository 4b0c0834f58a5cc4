"""`/v1/annotations`: what happened when, for charts to mark."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.boards.annotations import ANSWER_MAX, Annotation, AnnotationAsked, annotation_of
from tailrace.dashboard.encode import json_response, known_parameters, limit_of
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, TooLarge
from tailrace.model.window import instant_us, iso
from tailrace.runtime.ids import unique_id
from tailrace.runtime.unreadable import UNREADABLE

BODY_BYTES_MAX = 65_536


async def list_annotations(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"from", "to", "limit"})
    now_us = services.clock.now_us()
    first, end = (instant_us(params[name], now_us) if name in params else None for name in ("from", "to"))
    limit = limit_of(params, 1, ANSWER_MAX, ANSWER_MAX)
    found, truncated = await asyncio.to_thread(services.annotations.between, first, end, limit)
    return json_response({"annotations": [_shown(each) for each in found], "truncated": truncated})


async def add_annotation(request: Request) -> Response:
    """201: it is on disk."""
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    asked = await _asked(request)
    added = annotation_of(asked, services.clock.now_us(), unique_id())
    await asyncio.to_thread(services.annotations.add, added)
    return json_response(_shown(added), 201)


async def remove_annotation(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    annotation_id = request.path_params["id"]
    await asyncio.to_thread(services.annotations.remove, annotation_id)
    return json_response({"id": annotation_id, "removed": True})


async def _asked(request: Request) -> AnnotationAsked:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"the body has more than `{BODY_BYTES_MAX:,}` bytes")
    try:
        return msgspec.json.decode(bytes(body), type=AnnotationAsked)
    except UNREADABLE as error:
        hint = 'send {"text": "version 42 is out", "kind": "deploy"}'
        raise Invalid(f"the body is not an annotation: {error}", hint=hint) from error


def _shown(one: Annotation) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": iso(one.at_us),
        "until": iso(one.until_us) if one.until_us != one.at_us else None,
        "kind": one.kind,
        "text": one.text,
        "tags": one.tags,
        "created_at": iso(one.created_us),
    }
