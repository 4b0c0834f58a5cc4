"""A process's log: one file, bounded, that also gets what is written to standard error past the logging module.

The supervisor opens the file and makes it the child's standard error, so that the last words of a crash are in it. The child
turns it over when it has become too large.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from tailrace.model.window import iso

BYTES_MAX = 8 << 20
TOLD_MAX = 200


class _Lines(logging.Formatter):
    """`2026-11-22T10:00:00.123Z ERROR tailrace.serving.follower message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return iso(int(record.created * 1000) * 1000)


def rotate(path: Path) -> None:
    """Keep one older file as `<name>.1`."""
    if path.exists() and path.stat().st_size:
        path.replace(path.with_name(path.name + ".1"))


def open_log(path: Path) -> IO[bytes]:
    """For a child to write to: unbuffered, appending."""
    return path.open("ab", buffering=0)


def last_line(path: Path) -> str:
    """The newest line that says anything, without its time stamp; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "backslashreplace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class BoundedLog(logging.Handler):
    """Writes to standard error, which is the log at `path`; begins a new file when it is full. `on_error`: errors, once each."""

    def __init__(self, path: Path, on_error: Callable[[str], None], bytes_max: int = BYTES_MAX) -> None:
        super().__init__()
        self.setFormatter(_Lines())
        self._path = path
        self._on_error = on_error
        self._bytes_max = bytes_max
        self._bytes = path.stat().st_size if path.exists() else 0
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        with suppress(OSError):  # a full disk must not end what wanted to say so
            if self._bytes + len(line) > self._bytes_max:
                self._turn_over()
            self._bytes += len(line)
            os.write(2, line)
        if record.levelno >= logging.ERROR:
            self._tell(record.getMessage())

    def _tell(self, message: str) -> None:
        if message in self._told:
            return
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told.add(message)
        self._on_error(message)

    def _turn_over(self) -> None:
        rotate(self._path)
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fresh, 2)
        os.dup2(fresh, 1)
        os.close(fresh)
        self._bytes = 0
