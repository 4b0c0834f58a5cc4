"""The node's ASGI application: routes, error shape, the page. Listens on a unix socket; the ingest processes pass requests on."""

from __future__ import annotations

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tailrace.dashboard.access import grants_of, relations
from tailrace.dashboard.access_api import (
    AccessDesk,
    add_key,
    add_user,
    change_password,
    change_user,
    end_session,
    list_audit,
    list_keys,
    list_sessions,
    list_users,
    log_in,
    log_out,
    remove_user,
    revoke_key,
    show_session,
)
from tailrace.dashboard.alerts_api import ROUTES as ALERT_ROUTES
from tailrace.dashboard.annotations_api import add_annotation, list_annotations, remove_annotation
from tailrace.dashboard.app import routes as page_routes
from tailrace.dashboard.audited import Audited
from tailrace.dashboard.boards_api import (
    list_dashboard_versions,
    list_dashboards,
    read_dashboard_schema,
    read_dashboard_version,
    read_one_dashboard,
    remove_dashboard,
    save_dashboard,
)
from tailrace.dashboard.catalog_api import read_catalog
from tailrace.dashboard.dead_letters_api import list_dead_letters, read_dead_letter, redrive
from tailrace.dashboard.encode import error_response, json_response, known_parameters
from tailrace.dashboard.kinesis_api import control, control_of
from tailrace.dashboard.live import LiveSession
from tailrace.dashboard.openapi import document
from tailrace.dashboard.passing import pass_on
from tailrace.dashboard.pins_api import add_pin, list_pins, read_pin, remove_pin
from tailrace.dashboard.pipeline_api import healthz, metrics, pipeline, readyz
from tailrace.dashboard.search_api import (
    SEARCH_QUESTIONS,
    list_searches,
    put_search,
    read_search,
    remove_search,
    search,
)
from tailrace.dashboard.services import NodeServices
from tailrace.dashboard.shards_api import list_shards, merge_shards, split_shard
from tailrace.dashboard.streams_api import list_streams
from tailrace.dashboard.tail import tail
from tailrace.dashboard.views_api import diff_view, explain_view, list_views, read_view, rebuild_view, roll_back_view
from tailrace.errors import NotFound, TailraceError
from tailrace.runtime.client_gone import ClientGone
from tailrace.serving.sql.app import RELATIONS_HEADER

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads it; the name is nginx's."""


def create_app(services: NodeServices) -> Starlette:
    """All of the node's HTTP surface but `POST /v1/logs`, which the ingest processes answer themselves."""
    app = Starlette(
        routes=[
            Route("/v1/views", list_views),
            Route("/v1/views/{name}", read_view),
            Route("/v1/views/{name}/diff", diff_view),
            Route("/v1/views/{name}/rebuild", rebuild_view, methods=["POST"]),
            Route("/v1/views/{name}/rollback", roll_back_view, methods=["POST"]),
            Route("/v1/explain/{name}", explain_view),
            Route("/v1/streams", list_streams),
            Route("/v1/query", query, methods=["POST"]),
            Route("/v1/search", search, methods=["POST"]),
            *(Route(f"/v1/search/{question}", search, methods=["POST"]) for question in SEARCH_QUESTIONS),
            Route("/v1/searches", list_searches),
            Route("/v1/searches/{name}", read_search),
            Route("/v1/searches/{name}", put_search, methods=["PUT"]),
            Route("/v1/searches/{name}", remove_search, methods=["DELETE"]),
            Route("/v1/tail", tail),
            Route("/v1/deadletters", list_dead_letters),
            Route("/v1/deadletters/redrive", redrive, methods=["POST"]),
            Route("/v1/deadletters/{id}", read_dead_letter),
            Route("/v1/pins", list_pins),
            Route("/v1/pins", add_pin, methods=["POST"]),
            Route("/v1/pins/{id}", read_pin),
            Route("/v1/pins/{id}", remove_pin, methods=["DELETE"]),
            Route("/v1/dashboards", list_dashboards),
            Route("/v1/dashboards/schema", read_dashboard_schema),
            Route("/v1/dashboards/{uid}", read_one_dashboard),
            Route("/v1/dashboards/{uid}", save_dashboard, methods=["PUT"]),
            Route("/v1/dashboards/{uid}", remove_dashboard, methods=["DELETE"]),
            Route("/v1/dashboards/{uid}/versions", list_dashboard_versions),
            Route("/v1/dashboards/{uid}/versions/{n}", read_dashboard_version),
            *ALERT_ROUTES,
            Route("/v1/annotations", list_annotations),
            Route("/v1/annotations", add_annotation, methods=["POST"]),
            Route("/v1/annotations/{id}", remove_annotation, methods=["DELETE"]),
            Route("/v1/catalog", read_catalog),
            Route("/v1/shards", list_shards),
            Route("/v1/shards/{id}/split", split_shard, methods=["POST"]),
            Route("/v1/shards/{id}/merge", merge_shards, methods=["POST"]),
            Route("/", control, methods=["POST"]),
            WebSocketRoute("/v1/live", live),
            Route("/v1/pipeline", pipeline),
            Route("/v1/login", log_in, methods=["POST"]),
            Route("/v1/logout", log_out, methods=["POST"]),
            Route("/v1/session", show_session),
            Route("/v1/password", change_password, methods=["POST"]),
            Route("/v1/users", list_users),
            Route("/v1/users", add_user, methods=["POST"]),
            Route("/v1/users/{name}", change_user, methods=["PATCH"]),
            Route("/v1/users/{name}", remove_user, methods=["DELETE"]),
            Route("/v1/keys", list_keys),
            Route("/v1/keys", add_key, methods=["POST"]),
            Route("/v1/keys/{id}", revoke_key, methods=["DELETE"]),
            Route("/v1/sessions", list_sessions),
            Route("/v1/sessions/{id}", end_session, methods=["DELETE"]),
            Route("/v1/audit", list_audit),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/openapi.json", openapi),
            *page_routes(),
        ],
        middleware=[Middleware(Audited, path=services.settings.access_path, clock=services.clock)],
        exception_handlers={
            ClientGone: nobody_waits,
            TailraceError: error_response,
            Exception: error_response,
            404: not_found,
            405: not_allowed,
        },
    )
    app.state.services = services
    app.state.access = AccessDesk(services)
    app.state.kinesis = control_of(services)
    app.state.redrive_lock = asyncio.Lock()
    app.state.query_client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(services.query_socket)), base_url="http://query", timeout=None
    )
    return app


async def live(socket: WebSocket) -> None:
    await LiveSession(socket, socket.app.state.services, grants_of(socket)).run()


async def query(request: Request) -> Response:
    """Passed on to the query process, answer and all; if the client goes, before or within the answer, the query is cancelled there."""
    known_parameters(request, {"format"})
    client: httpx.AsyncClient = request.app.state.query_client
    headers = {k: v for k, v in request.headers.items() if k in ("accept", "content-type")}
    readable = await asyncio.to_thread(relations, request.app.state.services, grants_of(request))
    if readable is not None:
        headers[RELATIONS_HEADER] = ",".join(readable)
    sent = client.build_request(
        "POST", request.url.path, params=request.query_params, headers=headers, content=await request.body()
    )
    return await pass_on(request, sent)


async def openapi(request: Request) -> Response:
    return JSONResponse(document())


async def nobody_waits(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def not_found(request: Request, error: Exception) -> Response:
    return json_response(NotFound(f"there is nothing at `{request.url.path}`", hint="see /openapi.json").as_json(), 404)


async def not_allowed(request: Request, error: Exception) -> Response:
    problem = {
        "code": "method_not_allowed",
        "message": f"`{request.method}` is not possible here",
        "hint": "see /openapi.json",
    }
    response = json_response({"error": problem}, 405)
    response.headers.update(getattr(error, "headers", None) or {})  # which methods there are
    return response
