"""`/v1/search*`: passed on to the query process, which answers them. `/v1/searches`: searches that were saved, each a file."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.encode import json_response, known_parameters
from tailrace.dashboard.passing import pass_on
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid
from tailrace.serving.search.asked import read_body
from tailrace.serving.search.bind import compile_search
from tailrace.serving.search.saved import SavedSearch, SavedSearches
from tailrace.views.record_filter import bind_record_filter

SEARCH_QUESTIONS = ("histogram", "fields", "values", "context", "compare", "export")


async def search(request: Request) -> Response:
    known_parameters(request, ())
    client: httpx.AsyncClient = request.app.state.query_client
    sent = client.build_request("POST", request.url.path, content=await request.body())
    return await pass_on(request, sent)


async def list_searches(request: Request) -> Response:
    known_parameters(request, ())
    searches, problems = _saved(request).read()
    return json_response({"searches": [as_json(s) for s in searches], "problems": problems})


async def read_search(request: Request) -> Response:
    known_parameters(request, ())
    return json_response(as_json(_saved(request).get(request.path_params["name"])))


async def put_search(request: Request) -> Response:
    known_parameters(request, ())
    services: NodeServices = request.app.state.services
    asked: SavedSearch = read_body(await request.body(), SavedSearch)
    name = request.path_params["name"]
    if asked.name and asked.name != name:
        raise Invalid(f"the search is called `{asked.name[:100]}` and is put as `{name}`", hint="leave `name` out")
    compile_search(asked.query, services.settings.fields)
    if asked.sql:
        bind_record_filter(asked.sql, services.settings.fields)
    asked.name = name
    return json_response(as_json(_saved(request).put(asked)))


async def remove_search(request: Request) -> Response:
    known_parameters(request, ())
    name = request.path_params["name"]
    _saved(request).remove(name)
    return json_response({"name": name, "removed": True})


def as_json(search: SavedSearch) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(search)
    return found


def _saved(request: Request) -> SavedSearches:
    services: NodeServices = request.app.state.services
    return SavedSearches(services.settings.saved_searches_dir)
