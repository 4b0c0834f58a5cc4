"""What comes before a body is bounded, and says whom it is for once: nobody has shown a key by then."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import pytest

from tailrace.ingest.http2 import HEAD_BYTES_MAX
from tests.ingest.serving import ingesting, line, memory_stream, settings


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("heads")
    with ingesting(memory_stream(), settings(folder)) as address:
        yield address


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def answer_to(url: str, head: bytes, more: bytes = b"", sent_max: int = 64 << 20) -> tuple[int, int]:
    """Send `head`, then `more` again and again until the server hangs up; the status (0: none) and how many bytes it took."""
    sent = 0
    with connected(url) as connection:
        try:
            connection.sendall(head)
            sent = len(head)
            while more and sent < sent_max:
                connection.sendall(more)
                sent += len(more)
        except OSError:
            pass
        assert sent < sent_max, "the server takes whatever comes"
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
                if not more and answer.count(b"\r\n\r\n"):
                    break
        except OSError:
            pass
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0, sent


BEGUN = b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (BEGUN, b"X-Header: " + b"a" * 1000 + b"\r\n"),
        (BEGUN, b"a: b\r\n" * 1000),
        (BEGUN + b"X-Endless: ", b"a" * 10_000),
        (BEGUN, b"n" * 10_000),
        (b"GET /", b"a" * 10_000),
        (
            b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"T: " + b"a" * 1000 + b"\r\n",
        ),
        (b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"a" * 10_000),
    ],
    ids=["headers", "many headers", "one value", "one name", "address", "trailers", "extension of a chunk"],
)
def test_a_head_without_end_is_cut_off(url: str, head: bytes, more: bytes) -> None:
    status, _ = answer_to(url, head, more)
    assert status in (0, 400, 431)  # 0: it hung up while there was more to read, which takes the answer along


def test_a_head_that_is_too_long_is_told_so(url: str) -> None:
    padding = b"X-Header: " + b"a" * (HEAD_BYTES_MAX - 1000) + b"\r\n"
    assert answer_to(url, BEGUN + padding + b"Content-Length: 0\r\n\r\n")[0] == 400, (
        "an empty body, but a head that fits"
    )
    assert answer_to(url, BEGUN + padding + b"X-More: " + b"b" * 1000 + b"\r\n\r\n")[0] == 431


def test_a_large_body_in_small_and_large_pieces_is_no_head(url: str) -> None:
    body = line() * 5000
    head = BEGUN + b"Content-Length: %d\r\n\r\n" % len(body)
    with connected(url) as connection:
        for _ in range(3):  # one after the other, the next head in one piece with the end of the body before
            connection.sendall(head + body)
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 3:
            chunk = connection.recv(65_536)
            assert chunk, answer
            answer += chunk


@pytest.mark.parametrize("path", ["/v1/views", "/v1/logs", "/"])
def test_two_hosts_are_refused(url: str, path: str) -> None:
    head = b"GET %s HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n" % path.encode()
    assert answer_to(url, head)[0] == 400


def test_trailers_are_no_headers(url: str) -> None:
    """A trailer that says who asks, or whom for, changes nothing."""
    body = line()
    head = (
        BEGUN
        + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nHost: elsewhere\r\nOrigin: http://elsewhere\r\n\r\n"
    )
    assert answer_to(url, head % (len(body), body))[0] == 200


def test_heads_over_http2_are_bounded(url: str) -> None:
    """Both one that is too long, and one whose continuation never ends."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    many = [(f"x-{n}", "a" * 1000) for n in range(100)]
    pseudo = [(":method", "GET"), (":path", "/v1/views"), (":scheme", "http"), (":authority", "localhost")]
    client.send_headers(1, [*pseudo, *many], end_stream=True)
    with connected(url) as connection:
        connection.sendall(client.data_to_send())
        events: list[h2.events.Event] = []
        while not any(isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)) for e in events):
            data = connection.recv(65_536)
            if not data:
                break
            events += client.receive_data(data)
        assert not any(isinstance(e, h2.events.ResponseReceived) for e in events)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    begun = preface + b"\x00\x00\x01\x01\x00\x00\x00\x00\x01" + b"\x82"  # HEADERS that are not the last
    answer_to(url, begun, b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + b"\x82" * 0x4000)
