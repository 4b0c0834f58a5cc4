"""The table of what each route needs, against the routes that there are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from tailrace.access.routes import KNOWN, OPEN, ROUTES, UNLISTED, Need, need_of
from tailrace.config.settings import Settings
from tailrace.dashboard.api import create_app as node_app
from tailrace.dashboard.openapi import document
from tailrace.dashboard.services import NodeServices
from tailrace.ingest.app import create_app as ingest_app
from tailrace.ingest.protocols.kinesis.api import api
from tailrace.ingest.protocols.kinesis.endpoint import scope_of
from tailrace.model.scopes import ADMIN, INGEST, QUERY
from tailrace.runtime.clock import SystemClock
from tests.ingest.serving import memory_stream


def all_routes(folder: Path) -> set[tuple[str, str]]:
    settings = Settings(data_dir=folder, views_dir=folder / "views")
    services: Any = MagicMock(spec=NodeServices)
    services.settings, services.clock, services.query_socket = settings, SystemClock(), folder / "query.sock"
    services.stream = memory_stream()
    apps: list[Any] = [node_app(services), ingest_app(services.stream, settings, None)]
    return {each for app in apps for each in named(app.routes)}


def named(routes: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount) or route.path == "/{path:path}":
            continue  # what is passed on to the node
        if isinstance(route, WebSocketRoute):
            yield "GET", route.path
        elif isinstance(route, Route) and route.endpoint.__name__ != "_post_only":
            yield from ((method, route.path) for method in route.methods or () if method != "HEAD")


def test_each_route_says_what_it_needs_and_there_are_no_others(tmp_path: Path) -> None:
    there = all_routes(tmp_path)
    assert there - ROUTES.keys() == set(), "routes without a scope: add them to tailrace/access/routes.py"
    assert ROUTES.keys() - there == set(), "the table speaks of routes that are not there"


def test_each_documented_operation_says_what_it_needs() -> None:
    listed = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert listed <= ROUTES.keys()


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/", Need(OPEN)),
        ("HEAD", "/", Need(OPEN)),
        ("GET", "/assets/chunks/a.js", Need(OPEN)),
        ("POST", "/v1/logs", Need(INGEST)),
        ("GET", "/v1/views/endpoint_health", Need(QUERY, whole=False)),
        ("GET", "/v1/views/a/diff", Need(QUERY, whole=False)),
        ("POST", "/v1/views/a/rebuild", Need(ADMIN, whole=False)),
        ("GET", "/v1/deadletters/redrive", Need(QUERY)),
        ("POST", "/v1/deadletters/redrive", Need(ADMIN)),
        ("DELETE", "/v1/logs", Need(KNOWN)),
        ("PUT", "/v1/views/a", Need(KNOWN)),
        ("GET", "/v1/views/", UNLISTED),
        ("GET", "/v1/views/a/b/c", UNLISTED),
        ("GET", "/assets", UNLISTED),
        ("GET", "/v2/anything", UNLISTED),
        ("GET", "//v1/views", UNLISTED),
    ],
)
def test_what_a_request_needs(method: str, path: str, need: Need) -> None:
    assert need_of(method, path) == need


def test_what_changes_something_is_never_open_but_the_log_in() -> None:
    open_posts = {key for key, need in ROUTES.items() if need.scope == OPEN and key[0] != "GET"}
    assert open_posts == {("POST", "/v1/login"), ("POST", "/v1/logout")}


def test_operations_of_kinesis_need_a_scope_each() -> None:
    needs = {name: scope_of(name) for name in api().operations}
    assert {name for name, scope in needs.items() if scope == INGEST} == {"PutRecord", "PutRecords"}
    readers = ("Get", "List", "Describe", "Subscribe")
    assert all((scope == QUERY) == name.startswith(readers) for name, scope in needs.items() if scope != INGEST), needs
