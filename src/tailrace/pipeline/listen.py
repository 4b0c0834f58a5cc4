"""Bind the one TCP socket of a node; its ingest processes inherit it and take turns in accepting."""

from __future__ import annotations

import errno
import socket

from tailrace.config.listen import require_keys
from tailrace.errors import Invalid, Unavailable

BACKLOG = 1024


def bind(host: str, port: int, *, has_keys: bool = False) -> socket.socket:
    """A listening socket. Raises Invalid for an address that is not this machine's own, or that others reach while there are no keys;
    Unavailable if the port is taken."""
    require_keys(host, has_keys=has_keys)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from error
    return bound


def _refused(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 8080
        return Unavailable(
            f"port `{port}` of `{host}` is taken, by another node or another program",
            hint=f"choose another one: --listen {host}:{other}; who has it: ss -ltnp 'sport = :{port}'",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unavailable(
            f"port `{port}` needs rights that you do not have", hint=f"use one above 1023: --listen {host}:8080"
        )
    return Invalid(f"cannot listen on `{host}:{port}`: {error}", hint="use 127.0.0.1:8080")
