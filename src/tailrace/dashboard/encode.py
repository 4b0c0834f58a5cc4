"""Values to JSON and back: one encoder and one error shape for the whole HTTP surface."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import TailraceError, Unavailable

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """Timestamps as ISO text with Z, decimals as numbers with all their digits."""
    return _ENCODER.encode(value)


def json_response(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status_code=status, media_type="application/json")


async def error_response(request: Request, error: Exception) -> Response:
    """For Starlette's exception handlers."""
    assert isinstance(error, TailraceError)
    response = json_response(error.as_json(), error.http_status)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response
