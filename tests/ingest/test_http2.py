"""HTTP/2 in the clear at the port of everything else, beside HTTP/1.1."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset

from tailrace.ingest.http2 import PREFACE
from tests.ingest.serving import ingesting, line, memory_stream, settings


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with ingesting(memory_stream(), settings(tmp_path)) as address:
        yield address


def talk(url: str, *pieces: bytes) -> bytes:
    """The beginning of what is answered to bytes that come one piece after the other."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        answer = b""
        while len(answer) < 12 and (more := connection.recv(65536)):
            answer += more
        return answer


def test_posts_of_any_size_are_taken_in_over_both(url: str) -> None:
    with httpx.Client(http1=False, http2=True) as two, httpx.Client() as one:
        for client, version in ((two, "HTTP/2"), (one, "HTTP/1.1")):
            for count in (1, 20_000, 3):
                answer = client.post(f"{url}/v1/logs", content=line() * count)
                assert (answer.status_code, answer.http_version) == (200, version)
                assert answer.json()["accepted"] == count
        assert two.get(f"{url}/nowhere").status_code == 503


def test_errors_have_their_shape_over_http2_too(url: str) -> None:
    with httpx.Client(http1=False, http2=True) as two:
        for path, status in (("/v1/logs?format=nothing", 400), ("/v1/logs?nonsense=1", 400)):
            answer = two.post(url + path, content=line())
            assert answer.status_code == status
            assert answer.json()["error"]["message"]
        assert two.get(f"{url}/v1/logs").headers["allow"] == "POST"
        refused = two.post(f"{url}/v1/logs", content=line(), headers={"host": "evil.example"})
        assert refused.status_code == 403


def test_a_preface_in_pieces_is_a_preface(url: str) -> None:
    settings_frame = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    whole = talk(url, PREFACE + settings_frame)
    assert whole[3] == 4, "the server begins with SETTINGS"
    assert talk(url, PREFACE[:1], PREFACE[1:17], PREFACE[17:] + settings_frame)[:9] == whole[:9]


@pytest.mark.parametrize("begin", [b"P", b"PR", b"PRI ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"])
def test_what_only_begins_like_one_is_a_bad_request(url: str, begin: bytes) -> None:
    assert talk(url, begin, b"x\x00\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_post_in_pieces_is_a_post(url: str) -> None:
    body = line()
    head = f"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert talk(url, b"P", head.encode()[1:], body).startswith(b"HTTP/1.1 200")


def test_a_post_whose_headers_end_it_has_an_empty_body(url: str) -> None:
    answer = _stream(url, b"/v1/logs")
    assert b'"code":"invalid"' in answer


def test_a_path_that_is_not_ascii_ends_its_own_stream_alone(url: str) -> None:
    assert _stream(url, b"/\xff") == b"reset"


def _stream(url: str, path: bytes) -> bytes:
    """What a POST without a body is answered, or `reset`."""
    config = H2Configuration(client_side=True, validate_outbound_headers=False)
    place, talking = urlsplit(url), H2Connection(config)
    names = {b":method": b"POST", b":path": path, b":scheme": b"http", b":authority": place.netloc.encode()}
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as connection:
        talking.initiate_connection()
        talking.send_headers(1, list(names.items()), end_stream=True)
        connection.sendall(talking.data_to_send())
        answer = b""
        while more := connection.recv(65536):
            for event in talking.receive_data(more):
                if isinstance(event, StreamReset):
                    return b"reset"
                if isinstance(event, DataReceived):
                    answer += event.data
                if isinstance(event, StreamEnded):
                    return answer
        return b"closed"
