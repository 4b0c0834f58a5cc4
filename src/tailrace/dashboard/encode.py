"""Query parameters in, JSON out: one way to read them, one encoder and one error shape for the whole HTTP surface."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import InternalError, Invalid, TailraceError, Unavailable

_DIGITS_MAX = 9
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """Timestamps as ISO text with Z, decimals as numbers with all their digits."""
    return _ENCODER.encode(value)


def json_response(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status_code=status, media_type="application/json")


def known_parameters(request: Request, names: Collection[str]) -> dict[str, str]:
    """The query's parameters by name. Raises Invalid for one that is not among `names`, and for one that comes twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            raise Invalid(f"unknown parameter `{name}`", hint=f"known: {', '.join(sorted(names))}")
        if name in found:
            raise Invalid(f"`{name}` is there more than once", hint="say it once")
        found[name] = value
    return found


def whole_number(text: str) -> int | None:
    """None for what is no number of at most nine plain digits; `isdigit` alone also takes `²`, which `int` does not."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None


_TRUTH = {"1": True, "true": True, "yes": True, "": True, "0": False, "false": False, "no": False}


def truth_of(params: Mapping[str, str], name: str) -> bool:
    """A parameter that is true or false; its name alone is true, left out it is false. Raises Invalid for anything else."""
    text = params.get(name, "false").lower()
    if text not in _TRUTH:
        raise Invalid(f"`{name}` is neither true nor false", hint=f"write {name}=true, or leave it out")
    return _TRUTH[text]


def limit_of(params: Mapping[str, str], least: int, most: int, default: int, meaning: str = "") -> int:
    """The parameter `limit`. Raises Invalid unless it is `least` to `most`. `meaning`: what the default is, instead of its number."""
    limit = whole_number(params.get("limit", str(default)))
    if limit is None or not least <= limit <= most:
        raise Invalid(f"`limit` must be {least} to {most}", hint=f"leave it out for {meaning or default}")
    return limit


async def error_response(request: Request, error: Exception) -> Response:
    """For Starlette's exception handlers. What nobody foresaw is told as an internal error, without its text.

    uvicorn closes the connection after such an error; the answer says so, so that nobody sends the next request on it.
    """
    unforeseen = not isinstance(error, TailraceError)
    if not isinstance(error, TailraceError):
        error = InternalError(
            "the node failed at this request", hint="please report it, with the end of the node's log"
        )
    response = json_response(error.as_json(), error.http_status)
    if unforeseen:
        response.headers["Connection"] = "close"
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response
