"""Unix sockets between the processes of a node. They live in DATA/run, which only its owner can enter."""

from __future__ import annotations

import os
import socket
from pathlib import Path

NODE = "node.sock"
QUERY = "query.sock"
_PATH_BYTES_MAX = 100
"""The kernel takes 107 bytes on Linux, 103 on macOS."""


def socket_path(run_dir: Path, name: str) -> Path:
    """Where to bind and connect: absolute, or relative for a deep folder; the processes of a node run inside `run_dir`."""
    path = run_dir / name
    return path if len(os.fsencode(path)) <= _PATH_BYTES_MAX else Path(name)


def bind_unix(path: Path) -> socket.socket:
    """Listen at `path`, in place of what a killed process left there."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    path.chmod(0o600)
    bound.listen(1024)
    return bound
