"""HTTP/1.1 and HTTP/2 at one port: the first bytes of a connection say which.

What comes before a body is bounded, as nobody has shown a key by then: here for HTTP/1.1, by zttp itself for HTTP/2.

The SDKs that speak HTTP/2 (Amazon's for Java, where records are pushed) begin with its preface, in the clear as under TLS. Everybody
else is served by httptools, which is faster at large posts.
"""

from __future__ import annotations

import zttp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol

HEAD_BYTES_MAX = 64 << 10
"""Of a request's line, headers and trailers together; each header counts for `_PER_HEADER` bytes more than it has."""
_PER_HEADER = 32
_TOO_LARGE = (
    b'{"error":{"code":"too_large","message":"the headers are too large","hint":"64 KiB at most, with the address"}}'
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Overlong(Exception):
    """A head that is too long."""


class Http2Protocol(ZttpH2Protocol):
    """uvicorn 0.54 waits for the body of requests whose headers end them, and drops the connection at a path that is not ASCII."""

    def handle_request(self, event: zttp.Request) -> None:
        if not event.path.isascii():
            self.conn.stream(event.stream_id).reset(zttp.H2ErrorCode.PROTOCOL_ERROR)
            return
        super().handle_request(event)
        if event.end_stream:
            cycle = self.cycles[event.stream_id]
            cycle.more_body = False
            cycle.message_event.set()


class HttpProtocol(HttpToolsProtocol):
    """Hands the connection over to the HTTP/2 protocol if it begins as such.

    The parser keeps a header until it is whole, and tells nobody meanwhile: bytes that it tells nothing of are counted too.
    """

    _first: bytes | None = b""
    """What has come so far, while it may still be a preface. None once it is HTTP/1.1."""
    _head = 0
    _untold = 0
    _in_trailers = False
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._first is None:
            self._feed(data)
            return
        first = self._first + data
        if first.startswith(PREFACE):
            self._become_http2(first)
        elif PREFACE.startswith(first):
            self._first = first
        else:
            self._first = None
            self._feed(first)

    def _feed(self, data: bytes) -> None:
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEAD_BYTES_MAX and not self._refused:
            self._refuse()

    def on_message_begin(self) -> None:
        self._head = self._untold = 0
        self._in_trailers = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are not among the headers that the app has been given."""
        self._count(len(name) + len(value) + _PER_HEADER)
        if not self._in_trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._untold = 0
        self._in_trailers = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        super().on_message_complete()

    def _count(self, size: int) -> None:
        """Raises Overlong, which stops the parser."""
        self._untold = 0
        self._head += size
        if self._head > HEAD_BYTES_MAX:
            raise Overlong

    def send_400_response(self, msg: str) -> None:
        """Called where the parser has stopped."""
        if self._head > HEAD_BYTES_MAX:
            self._refuse()
        elif not self._refused:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        self._refused = True
        head = (
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(_TOO_LARGE)
        )
        self.transport.write(head + _TOO_LARGE)
        self.transport.close()

    def _become_http2(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        protocol = Http2Protocol(self.config, self.server_state, self.app_state, self.loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(data)
