"""HTTP/1.1 and HTTP/2 at one port: the first bytes of a connection say which.

The SDKs that speak HTTP/2 (Amazon's for Java, where records are pushed) begin with its preface, in the clear as under TLS. Everybody
else is served by httptools, which is faster at large posts.
"""

from __future__ import annotations

import zttp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


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
    """Hands the connection over to the HTTP/2 protocol if it begins as such."""

    _first: bytes | None = b""
    """What has come so far, while it may still be a preface. None once it is HTTP/1.1."""

    def data_received(self, data: bytes) -> None:
        if self._first is None:
            super().data_received(data)
            return
        first = self._first + data
        if first.startswith(PREFACE):
            self._become_http2(first)
        elif PREFACE.startswith(first):
            self._first = first
        else:
            self._first = None
            super().data_received(first)

    def _become_http2(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        protocol = Http2Protocol(self.config, self.server_state, self.app_state, self.loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(data)
