"""An ingest process: takes posts on the inherited TCP socket, passes every other request on to the node."""

from __future__ import annotations

import socket

from tailrace.ingest.app import create_app
from tailrace.ingest.server import Encrypted, run_server
from tailrace.pipeline.certificate import certificate_files, tls_context
from tailrace.pipeline.patience import patiently
from tailrace.pipeline.role import RoleArguments
from tailrace.pipeline.sockets import NODE, socket_path
from tailrace.runtime.clock import SystemClock
from tailrace.stream.backends.embedded import open_embedded


def run(arguments: RoleArguments) -> None:
    settings, lifeline = arguments.settings, arguments.lifeline
    clock = SystemClock()
    stream = patiently(
        lambda: open_embedded(settings.stream_dir, settings.stream, settings.fields, clock), lifeline.stop
    )
    if stream is None:
        return
    app = create_app(stream, settings, socket_path(settings.run_dir, NODE), clock=clock, name=arguments.name)
    listening = socket.socket(fileno=arguments.listen_handle)
    try:
        run_server(app, listening, lifeline.stop, lifeline.ready, _encrypted(arguments))
    finally:
        stream.close()


def _encrypted(arguments: RoleArguments) -> Encrypted | None:
    if arguments.tls_handle < 0 or arguments.settings.tls is None:
        return None
    certificate, key = certificate_files(arguments.settings)
    return Encrypted(socket.socket(fileno=arguments.tls_handle), tls_context(certificate, key))
