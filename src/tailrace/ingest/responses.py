"""Answers in the one shape of the HTTP API."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import InternalError, TailraceError, Unavailable


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


async def on_unforeseen(request: Request, error: Exception) -> Response:
    """For everything else, without its text, which may name what no answer may. uvicorn logs it and closes the connection afterwards."""
    response = error_response(
        InternalError("an error that nobody foresaw", hint="the node's log says more; please report it")
    )
    if request.scope.get("http_version", "").startswith("1"):
        response.headers["Connection"] = "close"
    return response


def refusal(code: str, message: str, hint: str, status: int = 403) -> Response:
    return json_response({"error": {"code": code, "message": message, "hint": hint}}, status)
