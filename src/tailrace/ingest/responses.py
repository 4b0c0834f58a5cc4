"""Answers in the one shape of the HTTP API."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import TailraceError, Unavailable


def json_response(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def error_response(error: TailraceError) -> Response:
    """With `Retry-After` where asking again helps."""
    response = json_response(error.as_json(), error.http_status)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def on_error(request: Request, error: Exception) -> Response:
    """For Starlette's exception handlers, registered for TailraceError."""
    if not isinstance(error, TailraceError):
        raise error
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """For errors that Starlette itself raises, such as a method that a path does not have."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    response = refusal(code, f"{error.detail.lower()}: {request.method} {request.url.path}", "", error.status_code)
    response.headers.update(error.headers or {})
    return response


def refusal(code: str, message: str, hint: str, status: int = 403) -> Response:
    return json_response({"error": {"code": code, "message": message, "hint": hint}}, status)
