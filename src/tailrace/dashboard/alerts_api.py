"""`/v1/alerts` and below: alerts, rules, previews, silences, channels, history."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.dashboard.encode import json_response, known_parameters, limit_of
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, TooLarge
from tailrace.model.window import duration_us, instant_us

BODY_BYTES_MAX = 262_144
T = TypeVar("T")


class PreviewAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`rule`: as it would be put; without it, the one called `name`. Times: ISO 8601, now or now-7d."""

    name: str = ""
    rule: dict[str, Any] | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class SilenceAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`for`: how long from its beginning; or `to`."""

    matchers: list[str]
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    for_: str | None = msgspec.field(default=None, name="for")
    comment: str = ""
    created_by: str = ""


async def list_alerts(request: Request) -> Response:
    known_parameters(request, ())
    return json_response(await asyncio.to_thread(_services(request).alerts.alerts))


async def alert_lines(request: Request) -> Response:
    known_parameters(request, ())
    alerts, fingerprint = _services(request).alerts, request.path_params["fingerprint"]
    return json_response(await asyncio.to_thread(lambda: alerts.lines(fingerprint)))


async def list_rules(request: Request) -> Response:
    known_parameters(request, ())
    return json_response(await asyncio.to_thread(_services(request).alerts.rules))


async def read_rule(request: Request) -> Response:
    known_parameters(request, ())
    alerts, name = _services(request).alerts, request.path_params["name"]
    return json_response(await asyncio.to_thread(lambda: alerts.rule(name)))


async def put_rule(request: Request) -> Response:
    """Checked against the views of now, then written as a file; in force within a second."""
    known_parameters(request, ())
    given = await _body(request, dict[str, Any], 'send {"view": "endpoint_health", "value": "requests", "above": 100}')
    alerts, name = _services(request).alerts, request.path_params["name"]
    return json_response(await asyncio.to_thread(lambda: alerts.put(name, given)))


async def delete_rule(request: Request) -> Response:
    known_parameters(request, ())
    alerts, name = _services(request).alerts, request.path_params["name"]
    return json_response(await asyncio.to_thread(lambda: alerts.delete(name)))


async def preview_rule(request: Request) -> Response:
    known_parameters(request, ())
    services = _services(request)
    asked = await _body(request, PreviewAsked, 'send {"rule": {...}, "from": "now-7d"} or {"name": "server-errors"}')
    now_us = services.clock.now_us()
    from_us = None if asked.from_ is None else instant_us(asked.from_, now_us)
    to_us = None if asked.to is None else instant_us(asked.to, now_us)
    return json_response(
        await asyncio.to_thread(lambda: services.alerts.preview(asked.name, asked.rule, from_us, to_us))
    )


async def history(request: Request) -> Response:
    services = _services(request)
    params = known_parameters(request, {"from", "to", "rule", "limit"})
    limit = limit_of(params, 1, 10_000, 200)
    now_us = services.clock.now_us()
    from_us = instant_us(params["from"], now_us) if "from" in params else None
    to_us = instant_us(params["to"], now_us) if "to" in params else None
    rule = params.get("rule")
    return json_response(await asyncio.to_thread(lambda: services.alerts.history(from_us, to_us, rule, limit)))


async def check_channel(request: Request) -> Response:
    """Answers once the other side has taken the message, or says why it did not."""
    known_parameters(request, ())
    alerts, name = _services(request).alerts, request.path_params["name"]
    return json_response(await asyncio.to_thread(lambda: alerts.test_channel(name)))


async def list_silences(request: Request) -> Response:
    known_parameters(request, ())
    return json_response(await asyncio.to_thread(_services(request).alerts.silences))


async def add_silence(request: Request) -> Response:
    known_parameters(request, ())
    services = _services(request)
    asked = await _body(request, SilenceAsked, 'send {"matchers": ["endpoint=/login"], "for": "1h"}')
    now_us = services.clock.now_us()
    from_us = None if asked.from_ is None else instant_us(asked.from_, now_us)
    if (asked.to is None) == (asked.for_ is None):
        raise Invalid("a silence needs one of `to` and `for`", hint='for example "for": "1h"')
    begin_us = now_us if from_us is None else from_us
    to_us = instant_us(asked.to, now_us) if asked.to is not None else begin_us + duration_us(asked.for_ or "")
    added = await asyncio.to_thread(
        lambda: services.alerts.add_silence(asked.matchers, from_us, to_us, asked.comment, asked.created_by)
    )
    return json_response(added, 201)


async def remove_silence(request: Request) -> Response:
    known_parameters(request, ())
    alerts, silence_id = _services(request).alerts, request.path_params["id"]
    return json_response(await asyncio.to_thread(lambda: alerts.remove_silence(silence_id)))


ROUTES = (
    Route("/v1/alerts", list_alerts),
    Route("/v1/alerts/rules", list_rules),
    Route("/v1/alerts/rules/{name}", read_rule),
    Route("/v1/alerts/rules/{name}", put_rule, methods=["PUT"]),
    Route("/v1/alerts/rules/{name}", delete_rule, methods=["DELETE"]),
    Route("/v1/alerts/preview", preview_rule, methods=["POST"]),
    Route("/v1/alerts/history", history),
    Route("/v1/alerts/channels/{name}/test", check_channel, methods=["POST"]),
    Route("/v1/alerts/silences", list_silences),
    Route("/v1/alerts/silences", add_silence, methods=["POST"]),
    Route("/v1/alerts/silences/{id}", remove_silence, methods=["DELETE"]),
    Route("/v1/alerts/instances/{fingerprint}/lines", alert_lines),
)


def _services(request: Request) -> NodeServices:
    services: NodeServices = request.app.state.services
    return services


async def _body(request: Request, kind: type[T], hint: str) -> T:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"the body has more than `{BODY_BYTES_MAX:,}` bytes")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the body cannot be understood: {error}", hint=hint) from error
