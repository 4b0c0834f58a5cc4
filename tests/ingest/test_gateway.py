"""Everything but posts goes to the node and comes back as it was, streams and WebSockets included; and what if it is away."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tailrace.ingest.gateway import end_to_end
from tailrace.ingest.server import run_server
from tests.ingest.serving import ingesting, line, memory_stream, settings


class Node:
    """A small real node on a unix socket. `ended`: set when the client of an endless stream has gone."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.closed: list[tuple[int, str]] = []
        self.app = Starlette(
            routes=[
                Route("/echo/{rest:path}", self.echo, methods=["GET", "POST", "PUT", "DELETE"]),
                Route("/events", self.events),
                Route("/count", self.count, methods=["POST"]),
                Route("/cut", self.cut),
                Route("/large", self.large),
                Route("/metrics", lambda request: Response("node_metric 1\n", media_type="text/plain")),
                Route("/not-modified", lambda request: Response(status_code=304, headers={"ETag": '"x"'})),
                WebSocketRoute("/live", self.live),
                WebSocketRoute("/refused", self.refused),
            ]
        )

    async def echo(self, request: Request) -> Response:
        told = {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in request.scope["headers"]],
            "body": (await request.body()).decode(),
        }
        response = JSONResponse(told, status_code=418)
        response.headers.append("Set-Cookie", "a=1")
        response.headers.append("Set-Cookie", "b=2")
        return response

    async def events(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[bytes]:
            try:
                for n in range(1_000_000):
                    yield f"event: row\ndata: {n}\n\n".encode()
                    await asyncio.sleep(0.01)
            finally:
                self.ended.set()

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def count(self, request: Request) -> Response:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return JSONResponse(size)

    async def cut(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("meant to fail in a test")

        return StreamingResponse(stream())

    async def large(self, request: Request) -> Response:
        return Response(b"x" * 5_000_000)

    async def live(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol=socket.scope["subprotocols"][0] if socket.scope["subprotocols"] else None)
        await socket.send_json({"query": socket.scope["query_string"].decode(), "cookie": socket.headers.get("cookie")})
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    self.closed.append((message["code"], message.get("reason") or ""))
                    return
                if message.get("text") == "end":
                    await socket.close(4001, "done")
                    return
                await (
                    socket.send_text(message["text"])
                    if message.get("text") is not None
                    else socket.send_bytes(message["bytes"])
                )
        except WebSocketDisconnect:
            return

    async def refused(self, socket: WebSocket) -> None:
        await socket.send_denial_response(JSONResponse({"error": {"code": "not_found"}}, status_code=404))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Node, Path]]:
    path = tmp_path / "node.sock"
    upstream = Node()
    with on_unix_socket(upstream.app, path):
        yield upstream, path


class on_unix_socket:
    def __init__(self, app: Any, path: Path) -> None:
        self._path = path
        self._bound = socket.socket(socket.AF_UNIX)
        self._bound.bind(str(path))
        self._bound.listen(64)
        self._stop, self._started = threading.Event(), threading.Event()
        arguments = (app, self._bound, self._stop, self._started.set)
        self._thread = threading.Thread(target=run_server, args=arguments, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._started.wait(20)

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(20)
        self._path.unlink(missing_ok=True)


@pytest.fixture
def url(node: tuple[Node, Path], tmp_path: Path) -> Iterator[str]:
    with ingesting(memory_stream(), settings(tmp_path), node[1]) as address:
        yield address


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_arrives_as_it_was_and_so_does_the_answer(url: str, method: str) -> None:
    content = b"body" if method in ("POST", "PUT") else None
    answer = httpx.request(
        method, url + "/echo/a%2Fb%20c?x=1&x=%C3%A9", content=content, headers={"X-Mine": "1", "Cookie": "k=v"}
    )
    assert answer.status_code == 418
    told = answer.json()
    assert (told["method"], told["path"], told["query"]) == (method, "/echo/a%2Fb%20c", "x=1&x=%C3%A9")
    assert told["body"] == ("body" if content else "")
    headers = dict(told["headers"])
    assert headers["host"] == url.removeprefix("http://")
    assert (headers["x-mine"], headers["cookie"]) == ("1", "k=v")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_body_over_http2_arrives_whatever_the_headers_say_of_it(url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"", b"one, ", b"two"):
            yield piece

    async def ask() -> list[str]:
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            # httpx writes `transfer-encoding` for a body of unknown length, and takes it off for HTTP/2.
            posted = await client.post(f"{url}/echo/x", content=pieces())
            empty = [await client.request(method, f"{url}/echo/x") for method in ("GET", "POST", "DELETE")]
            return [answer.json()["body"] for answer in (posted, *empty)]

    assert asyncio.run(ask()) == ["one, two", "", "", ""]


def test_headers_about_the_connection_stay_behind() -> None:
    given = [
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"TE", b"trailers"),
        (b"Accept", b"*/*"),
        (b"X-End", b"2"),
    ]
    assert end_to_end(given) == [(b"accept", b"*/*"), (b"x-end", b"2")]


def test_answers_without_a_body(url: str) -> None:
    answer = httpx.get(url + "/not-modified")
    assert (answer.status_code, answer.headers["etag"], answer.content) == (304, '"x"', b"")
    assert httpx.head(url + "/large").headers["content-length"] == "5000000"


def test_large_bodies_go_both_ways(url: str) -> None:
    assert len(httpx.get(url + "/large").content) == 5_000_000
    assert httpx.post(url + "/count", content=b"x" * 5_000_000).json() == 5_000_000
    assert httpx.post(url + "/count", content=(b"x" * 1000 for _ in range(1000))).json() == 1_000_000


def test_events_arrive_one_by_one_and_a_client_that_leaves_ends_them(url: str, node: tuple[Node, Path]) -> None:
    with httpx.stream("GET", url + "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(5)] == ["event: row", "data: 0", "", "event: row", "data: 1"]
        assert not node[0].ended.is_set()
    assert node[0].ended.wait(10)


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url + "/cut")


def live(url: str, path: str = "/live", **more: Any) -> Any:
    return connect(url.replace("http", "ws") + path, open_timeout=10, max_size=None, **more)


def test_a_websocket_both_ways(url: str) -> None:
    with live(url, "/live?a=1", subprotocols=["v1"], additional_headers={"Cookie": "k=v"}) as client:
        assert client.subprotocol == "v1"
        assert json.loads(client.recv()) == {"query": "a=1", "cookie": "k=v"}
        for message in ("text é", b"\x00\xff", "x" * 2_000_000, ""):
            client.send(message)
            assert client.recv() == message


def test_the_node_may_close_it(url: str) -> None:
    with live(url) as client:
        client.recv()
        client.send("end")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "done")


def test_the_client_may_close_it(url: str, node: tuple[Node, Path]) -> None:
    with live(url) as client:
        client.recv()
        client.close(4002, "enough")
    for _ in range(500):
        if node[0].closed:
            break
        threading.Event().wait(0.01)
    assert node[0].closed == [(4002, "enough")]


def test_a_websocket_that_the_node_refuses(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused, live(url, "/refused"):
        pass
    assert refused.value.response.status_code == 404


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[str]:
    """No node behind it yet."""
    with ingesting(memory_stream(), settings(tmp_path), tmp_path / "node.sock") as address:
        yield address


def test_without_a_node_posts_are_taken_and_all_else_is_told_to_wait(alone: str) -> None:
    assert httpx.post(alone + "/v1/logs", content=line(1)).json()["accepted"] == 1
    for path in ("/healthz", "/readyz", "/v1/views"):
        answer = httpx.get(alone + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    page = httpx.get(alone + "/", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 503
    assert page.headers["content-type"].startswith("text/html")
    assert 'http-equiv="refresh"' in page.text
    assert "tailrace_ingest_posts_total" in httpx.get(alone + "/metrics").text
    with pytest.raises(InvalidStatus) as refused, live(alone):
        pass
    assert refused.value.response.status_code == 503


def test_a_node_that_comes_and_goes_is_found_again(alone: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert httpx.get(alone + "/echo/x").status_code == 503
        with on_unix_socket(Node().app, tmp_path / "node.sock"):
            assert httpx.get(alone + "/echo/x").status_code == 418
            with live(alone) as client:
                assert client.recv()


def test_metrics_of_node_and_ingest_come_together(url: str) -> None:
    httpx.post(url + "/v1/logs", content=line(1))
    text = httpx.get(url + "/metrics").text
    assert text.startswith("node_metric 1\n")
    assert 'tailrace_ingest_lines_total{process="ingest"' in text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "app.localhost", "localhost."]
)
def test_names_of_this_machine_are_welcome(url: str, host: str) -> None:
    assert httpx.get(url + "/echo/x", headers={"Host": host}).status_code == 418


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5", "localhost.evil.example", "[fe80::1]", "x:y:z"]
)
def test_other_names_are_refused(url: str, host: str) -> None:
    for answer in (
        httpx.get(url + "/echo/x", headers={"Host": host}),
        httpx.post(url + "/v1/logs", content=line(1), headers={"Host": host}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_pages_of_other_sites_cannot_write_or_listen(url: str) -> None:
    own = url
    for origin in ("http://evil.example", "null", own + "1", "file://", "http://["):
        answer = httpx.post(url + "/v1/logs", content=line(1), headers={"Origin": origin})
        assert answer.status_code == 403, origin
        with pytest.raises(InvalidStatus), live(url, origin=origin):
            pass
    assert httpx.post(url + "/v1/logs", content=line(1), headers={"Origin": own}).status_code == 200
    assert httpx.get(url + "/echo/x", headers={"Origin": "http://evil.example"}).status_code == 418
    with live(url, origin=own) as client:
        assert client.recv()
