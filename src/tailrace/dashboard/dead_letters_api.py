"""`/v1/deadletters`, `/v1/deadletters/{id}`, `/v1/deadletters/redrive`: the lines that could not be read."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.encode import json_response, known_parameters, limit_of, truth_of
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid, Unavailable
from tailrace.model.sequence import sequence_number
from tailrace.model.verdict import Verdict
from tailrace.model.window import iso
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.serving.redrive import Redrive
from tailrace.stream.dead_letters import DeadLetter

LIMIT_DEFAULT, LIMIT_MAX = 50, 1_000
REDRIVE_MAX = 1_000_000
SHOWN_BYTES_MAX = 2_048


async def list_dead_letters(request: Request) -> Response:
    """`limit`: 1 to 1000. `verdict`: only those of this kind, e.g. `no_timestamp`."""
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"limit", "verdict"})
    limit, verdict = limit_of(params, 1, LIMIT_MAX, LIMIT_DEFAULT), _verdict(params.get("verdict"))

    def answer() -> dict[str, Any]:
        letters = services.dead_letters
        found = letters.newest(limit, verdict)
        return {"dead_letters": [_shown(letter, SHOWN_BYTES_MAX) for letter in found], "total": letters.total()}

    return json_response(await asyncio.to_thread(answer))


async def read_dead_letter(request: Request) -> Response:
    """All of one; with `?raw` or `?raw=true`, just its bytes."""
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"raw"})
    letter = await asyncio.to_thread(services.dead_letters.one, request.path_params["id"])
    if truth_of(params, "raw"):
        # Never shown by a browser: these bytes are whatever a client has sent.
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(letter.raw, media_type="application/octet-stream", headers=headers)
    return json_response(_shown(letter, len(letter.raw)))


async def redrive(request: Request) -> Response:
    """Body: a `Redrive` as JSON; empty: all that were not sent yet."""
    services: NodeServices = request.app.state.services
    known_parameters(request, set())
    wish = _wish(await request.body())
    lock: asyncio.Lock = request.app.state.redrive_lock
    if lock.locked():
        raise Unavailable("another redrive runs", retry_after_s=2, hint="ask again when it has ended")
    async with lock:
        done = await asyncio.to_thread(services.redriver.run, wish)
    return json_response(msgspec.to_builtins(done, builtin_types=(Decimal, datetime)))


def _wish(body: bytes) -> Redrive:
    try:
        wish = msgspec.json.decode(body, type=Redrive) if body.strip() else Redrive()
    except UNREADABLE as error:
        raise Invalid(
            f"the body is not a redrive: {error}", hint='for example {"verdict": "malformed", "format": "combined"}'
        ) from error
    _verdict(wish.verdict)
    if not 1 <= wish.limit <= REDRIVE_MAX:
        raise Invalid(f"limit is `{wish.limit}`", hint=f"use 1 to {REDRIVE_MAX}")
    return wish


def placed(letter: DeadLetter) -> dict[str, Any]:
    """Which one it is, where it stands, and why it could not be read."""
    return {
        "id": letter.id,
        "shard": letter.shard.id,
        "sequence_number": sequence_number(letter.shard, letter.offset),
        "arrived_at": iso(letter.arrived_at_us),
        "reason": letter.reason,
        "redriven_at": iso(letter.redriven_at_us) if letter.redriven_at_us is not None else None,
    }


def _shown(letter: DeadLetter, bytes_max: int) -> dict[str, Any]:
    """`raw` where the bytes are text, else `raw_base64`; `bytes` of them all told, which may be more than are shown."""
    shown = {**placed(letter), "verdict": letter.verdict.name.lower(), "bytes": len(letter.raw)}
    part = letter.raw[:bytes_max]
    try:
        letter.raw.decode()
    except UnicodeDecodeError:
        return {**shown, "raw_base64": base64.b64encode(part).decode()}
    return {**shown, "raw": part.decode(errors="ignore")}  # a cut may go through a character


def _verdict(text: str | None) -> Verdict | None:
    if text is None:
        return None
    known = [verdict.name.lower() for verdict in Verdict if verdict is not Verdict.GOOD]
    if text not in known:
        raise Invalid(f"there is no verdict `{text}`", hint=f"use one of: {', '.join(known)}")
    return Verdict[text.upper()]
