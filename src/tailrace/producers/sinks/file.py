"""Lines into a file, appended whole posts at a time, or to standard output."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tailrace.errors import Invalid
from tailrace.producers.sinks.base import Acked, Journal, Link, Parcel, Refused, Sink
from tailrace.runtime.clock import Clock

STDOUT = 1


class FileSink(Sink):
    """`target`: `file://PATH` or `stdout`. Raises Invalid if the file cannot be written."""

    def __init__(self, target: str, clock: Clock, journal: Journal | None = None) -> None:
        self._link = _FileLink(_opened(target))
        super().__init__(clock, connections=1, salt=target, journal=journal)

    def link(self) -> Link:
        return self._link


class _FileLink:
    def __init__(self, file: int) -> None:
        self._file = file

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked:
        left = memoryview(parcel.post.body)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise Refused(f"cannot be written: {error}") from error
        return Acked(parcel.post.lines)

    def close(self) -> None:
        if self._file != STDOUT:
            os.fsync(self._file)
            os.close(self._file)


def _opened(target: str) -> int:
    if not target.startswith("file://"):
        return STDOUT
    path = Path(target.removeprefix("file://"))
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise Invalid(f"`{path}` cannot be written: {error}", hint="name a file in a folder that is there") from error
