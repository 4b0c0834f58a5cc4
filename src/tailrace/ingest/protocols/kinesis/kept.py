"""What the Kinesis API keeps about the stream beside its records: retention, mode, tags, consumers.

One small file in the data folder, written by the node alone (`control.py`), read by every process; readers look whether it has changed.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import msgspec

from tailrace.errors import Corrupt, Newer
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import write_atomic
from tailrace.runtime.unreadable import UNREADABLE

VERSION = 1
RECORD_KIB = 1024
RECENT_S = 0.1


class Consumer(msgspec.Struct, frozen=True):
    """Of enhanced fan-out. `created_s`: Unix time, part of its ARN."""

    name: str
    created_s: int
    tags: dict[str, str] = {}


class Kept(msgspec.Struct, frozen=True):
    """`name`: what CreateStream has called the stream, empty until it has, and `created_ms` when. `hidden`: numbers of the shards that
    there were before and that never held a record. `retention_hours`: None until the API has set it. `resized_ms`, `mode_changed_ms`:
    when, in the last 24 hours, for their limits.
    """

    version: int = VERSION
    name: str = ""
    created_ms: int = 0
    hidden: tuple[int, ...] = ()
    retention_hours: int | None = None
    mode: str = "PROVISIONED"
    record_kib: int = RECORD_KIB
    tags: dict[str, str] = {}
    consumers: tuple[Consumer, ...] = ()
    resized_ms: tuple[int, ...] = ()
    mode_changed_ms: tuple[int, ...] = ()

    @property
    def stream_age_s(self) -> int | None:
        """How long records are kept, if the API has said so."""
        return None if self.retention_hours is None else self.retention_hours * 3_600


class KeptFile:
    """Thread-safe; `write` is for the one process that owns it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._looked_s = float("-inf")
        self._lock = Lock()
        self._stamp: tuple[int, int] | None = None
        self._kept = Kept()

    def recent(self) -> Kept:
        """As it stood a moment ago, for what is asked all the time. Raises as `read`."""
        if self._clock.monotonic_s() - self._looked_s < RECENT_S:
            return self._kept
        return self.read()

    def read(self) -> Kept:
        """As it stands. Raises Corrupt, Newer."""
        with self._lock:
            self._looked_s = self._clock.monotonic_s()
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                self._kept, self._stamp = Kept(), None
                return self._kept
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._kept, self._stamp = self._decoded(), stamp
            return self._kept

    def write(self, kept: Kept) -> None:
        """Returns once it is on disk."""
        write_atomic(self._path, msgspec.json.format(msgspec.json.encode(kept), indent=1))

    def _decoded(self) -> Kept:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except (OSError, *UNREADABLE) as error:
            raise Corrupt(str(self._path), str(error)) from error
        if kept.version > VERSION:
            raise Newer(f"`{self._path}` is of version `{kept.version}`, this Tailrace reads {VERSION}")
        return kept
