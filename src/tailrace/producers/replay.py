"""Play a real log file as if it happened now.

The first line is now, the others follow at the file's own pace divided by `speed`: new stamp = start + (old - first) / speed. A line
is sent when its new stamp has come, so the newest line is always "now". Lines keep the file's order.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tailrace.errors import Invalid
from tailrace.producers.feed import Post
from tailrace.producers.stamps import Stamps, sniff
from tailrace.runtime.clock import Clock

TICK_US = 100_000
POST_LINES_MAX = 5_000
POST_BYTES_MAX = 4 << 20


class Replay:
    """One pass over a file (plain or .gz). Raises Invalid if it cannot be read or is no log."""

    def __init__(self, path: Path, *, speed: float, keep_time: bool = False, key: str = "timestamp") -> None:
        self._path = path
        self._speed = speed
        self._keep_time = keep_time
        self.stamps = self._sniff(key)

    @property
    def format(self) -> str:
        return self.stamps.format

    @property
    def title(self) -> str:
        """What is played, for people."""
        stamps = "its own stamps" if self._keep_time else "as if it began now"
        return f"{self._path.name} ({self.format}), {self._speed:g} times as fast as it was, {stamps}"

    def posts(self, clock: Clock) -> Iterator[Post]:
        """The file's lines, those of one tick of 100 ms together; the first one is due when this is asked for the first post."""
        start_us = clock.now_us()
        first_us: int | None = None
        due_us = start_us
        gathered = _Gathering(due_us)
        for line in self._lines():
            old_us = self.stamps.read(line)
            first_us = old_us if first_us is None else first_us
            if old_us is not None and first_us is not None:
                new_us = start_us + round((old_us - first_us) / self._speed)
                due_us = max(due_us, new_us)
                line = line if self._keep_time else self.stamps.move(line, new_us)
            if gathered.is_full(due_us, len(line)):
                yield gathered.post()
                gathered = _Gathering(due_us)
            gathered.add(line, due_us)
        if gathered.lines:
            yield gathered.post()

    def _sniff(self, key: str) -> Stamps:
        first = next(iter(self._lines()), None)
        if first is None:
            raise Invalid(f"`{self._path}` has no lines", hint="give a log file to replay")
        return sniff(first, key)

    def _lines(self) -> Iterator[bytes]:
        """Lines without their ends; empty ones are left out, as the node leaves them out."""
        try:
            with _open(self._path) as file:
                for line in file:
                    stripped = line.rstrip(b"\r\n")
                    if stripped.strip():
                        yield stripped
        except (OSError, EOFError) as error:
            raise Invalid(f"`{self._path}` cannot be read: {error}", hint="give a log file to replay") from error


class _Gathering:
    """Lines on their way into one post."""

    def __init__(self, due_us: int) -> None:
        self.lines: list[bytes] = []
        self._bytes = 0
        self._first_due_us = due_us
        self._due_us = due_us

    def is_full(self, due_us: int, size: int) -> bool:
        late = due_us - self._first_due_us >= TICK_US
        return bool(self.lines) and (late or len(self.lines) >= POST_LINES_MAX or self._bytes + size > POST_BYTES_MAX)

    def add(self, line: bytes, due_us: int) -> None:
        self.lines.append(line)
        self._bytes += len(line) + 1
        self._due_us = due_us

    def post(self) -> Post:
        return Post(b"\n".join(self.lines) + b"\n", len(self.lines), self._due_us)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def parse_speed(text: str) -> float:
    """`60x` or `60`: how much faster than it was. Raises Invalid unless it is a number above 0."""
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise Invalid(
            f"`{text}` is no speed", hint="write 60x to play a minute of the log each second, 1x for its own pace"
        )
    return speed
