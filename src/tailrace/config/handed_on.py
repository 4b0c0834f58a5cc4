"""Finished settings, written by the supervisor and read by the processes that it starts. Not a file for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tailrace.config.settings import Settings
from tailrace.errors import Corrupt
from tailrace.runtime.files import write_atomic
from tailrace.runtime.unreadable import UNREADABLE

FILE_NAME = "settings.json"


def write_settings(settings: Settings) -> None:
    """Into the run folder, under a name that the readers know; nobody else may read it, as it holds the keys."""
    write_atomic(
        settings.run_dir / FILE_NAME, msgspec.json.encode(settings, enc_hook=_encode), durable=False, mode=0o600
    )


def read_settings(data_dir: Path) -> Settings:
    """What the supervisor of `data_dir` wrote. Raises Corrupt if it is not there or not whole."""
    path = data_dir / "run" / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings, dec_hook=_decode)
    except (OSError, *UNREADABLE) as error:
        raise Corrupt(str(path), str(error), hint="start the node with: tailrace up") from error


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
