"""`/v1/deadletters` and `/v1/deadletters/{id}`: the lines that could not be read."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.encode import json_response, known_parameters, limit_of
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid
from tailrace.model.sequence import sequence_number
from tailrace.model.verdict import Verdict
from tailrace.model.window import iso
from tailrace.serving.dead_letters import DeadLetter, newest, one, total

LIMIT_DEFAULT, LIMIT_MAX = 50, 1_000
SHOWN_BYTES_MAX = 2_048


async def list_dead_letters(request: Request) -> Response:
    """`limit`: 1 to 1000. `verdict`: only those of this kind, e.g. `no_timestamp`."""
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"limit", "verdict"})
    limit, verdict = limit_of(params, 1, LIMIT_MAX, LIMIT_DEFAULT), _verdict(params.get("verdict"))

    def answer() -> dict[str, Any]:
        found = newest(services.stream, limit, verdict)
        return {"dead_letters": [_shown(letter, SHOWN_BYTES_MAX) for letter in found], "total": total(services.stream)}

    return json_response(await asyncio.to_thread(answer))


async def read_dead_letter(request: Request) -> Response:
    """All of one; with `?raw`, just its bytes."""
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"raw"})
    letter = await asyncio.to_thread(one, services.stream, request.path_params["id"])
    if "raw" in params:
        # Never shown by a browser: these bytes are whatever a client has sent.
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(letter.raw, media_type="application/octet-stream", headers=headers)
    return json_response(_shown(letter, len(letter.raw)))


def placed(letter: DeadLetter) -> dict[str, Any]:
    """Which one it is, where it stands, and why it could not be read."""
    return {
        "id": letter.id,
        "shard": letter.shard.id,
        "sequence_number": sequence_number(letter.shard, letter.offset),
        "arrived_at": iso(letter.arrived_at_us),
        "reason": letter.reason,
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
