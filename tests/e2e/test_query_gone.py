"""A client that closes its connection ends its query, also one that has not given a byte yet: the next one finds a turn."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tailrace.serving.sql.app import QUERIES_MAX
from tailrace.testing.node import RunningNode

pytestmark = pytest.mark.slow

FOREVER = "SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) % 7 = 3"


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    config = folder / "tailrace.toml"
    config.write_text("[query]\ntimeout_s = 600\n")
    with RunningNode(folder / "data", config=config) as running:
        yield running


def test_queries_whose_clients_have_gone_hold_no_turn(node: RunningNode) -> None:
    asking = [_ask(node.port) for _ in range(QUERIES_MAX)]
    for connection in asking:
        connection.close()
    answer = node.request("POST", "/v1/query", b'{"sql": "SELECT 42 AS n"}', {"Content-Type": "application/json"})
    assert answer.status == 200
    assert answer.json["rows"] == [[42]]


def _ask(port: int) -> socket.socket:
    """A connection that waits for an answer which will not come."""
    body = json.dumps({"sql": FOREVER}).encode()
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    connection.settimeout(0.5)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    return connection
