"""The key that a command shows to a node: from TAILRACE_KEY, else from the settings of the node that this folder runs or describes."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from tailrace.errors import TailraceError

VARIABLE = "TAILRACE_KEY"


def key_for(url: str, folder: Path | None = None) -> str:
    """A secret, or empty. Without the variable a key is shown to this folder's own node alone, never to another address."""
    given = os.environ.get(VARIABLE, "")
    if given:
        return given
    here = folder or Path.cwd()
    return _of_running(url, here) or _of_settings(url, here)


def _of_running(url: str, here: Path) -> str:
    from tailrace.config.handed_on import read_settings
    from tailrace.pipeline.lock import is_alive
    from tailrace.pipeline.run_file import read_run_file

    data_dir = here / "tailrace-data"
    running = read_run_file(data_dir / "run")
    if running is None or running.url.rstrip("/") != url.rstrip("/") or not is_alive(running.pid):
        return ""
    try:
        return read_settings(data_dir).local_key
    except TailraceError:
        return ""


def _of_settings(url: str, here: Path) -> str:
    from tailrace.config.listen import is_loopback
    from tailrace.config.load import FILE_NAME, load_settings

    if not (here / FILE_NAME).exists():
        return ""
    try:
        settings = load_settings(folder=here)
    except TailraceError:
        return ""
    parts = urlsplit(url)
    own = is_loopback(parts.hostname or "") and parts.port == settings.listen_port
    return settings.keys[0].secret if own and settings.keys else ""
