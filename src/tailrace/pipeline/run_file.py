"""DATA/run/tailrace.json: where a running node listens and which processes it has. For the command line, the node and scripts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tailrace.runtime.files import write_atomic
from tailrace.runtime.unreadable import UNREADABLE

FILE_NAME = "tailrace.json"


class RunningProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`role`: node, batch, query or ingest. `name`: the role, with a number where there are several."""

    role: str
    name: str
    pid: int
    restarts: int = 0


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """`pid`: the supervisor's. `started_at`: ISO 8601. `tls_url`: empty where TLS is not spoken."""

    pid: int
    url: str
    data_dir: str
    views_dir: str
    started_at: str
    version: str
    processes: list[RunningProcess] = []
    tls_url: str = ""


def write_run_file(run_dir: Path, content: RunFile) -> None:
    write_atomic(run_dir / FILE_NAME, msgspec.json.format(msgspec.json.encode(content)), durable=False)


def read_run_file(run_dir: Path) -> RunFile | None:
    """None if there is none, or none that reads. It may be of a node that was killed: its pid tells."""
    try:
        return msgspec.json.decode((run_dir / FILE_NAME).read_bytes(), type=RunFile)
    except (OSError, *UNREADABLE):
        return None


def remove_run_file(run_dir: Path) -> None:
    (run_dir / FILE_NAME).unlink(missing_ok=True)
