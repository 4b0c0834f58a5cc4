"""What the query process answers for the node: views as they stood at a position."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec
from starlette.requests import Request

from tailrace.dashboard.query_process import ask_query_process
from tailrace.errors import Expired, InternalError, TailraceError, Unavailable
from tailrace.serving.merge import ViewQuery
from tailrace.serving.past.app import PastAsked


async def ask_past(
    request: Request, view: str, query: ViewQuery, ends: Mapping[str, int], version: str | None = None
) -> bytes:
    """The JSON of the answer. Raises what the query process has raised, and as `ask_query_process`."""
    client: httpx.AsyncClient = request.app.state.query_client
    asked = PastAsked(view=view, query=query, ends=dict(ends), version=version)
    response = await ask_query_process(
        request, client.build_request("POST", "/v1/past", content=msgspec.json.encode(asked))
    )
    if response.status_code != 200:
        raise _error(response)
    return response.content


class _Told(msgspec.Struct):
    code: str
    message: str
    hint: str = ""


class _Failure(msgspec.Struct):
    error: _Told


def _error(response: httpx.Response) -> TailraceError:
    try:
        told = msgspec.json.decode(response.content, type=_Failure).error
    except msgspec.MsgspecError:
        return InternalError(f"the query process answered {response.status_code}", hint="please report it")
    if response.status_code == Unavailable.http_status:
        return Unavailable(told.message, hint=told.hint)
    error = Expired(told.message, hint=told.hint) if told.code == Expired.code else TailraceError(told.message)
    error.hint, error.code, error.http_status = told.hint, told.code, response.status_code
    return error
