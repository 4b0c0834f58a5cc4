"""Locks between processes: one at a time in a shard's append, and in the creation of a stream.

SQLite alone would do for safety, but its waiters sleep and try again, and a busy process can keep others out for long. Here
whoever waits is next: it holds the gate while it waits for the lock, and who has just let the lock go must pass the gate
again. The kernel frees both when their holder dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of the file `path` (created if absent), against other processes and other threads alike."""
    with _held(path.with_name(f"{path.name}.gate")):
        handle = _lock(path)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    handle = _lock(path)
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path) -> int:
    """A descriptor of its own that holds the lock until it is closed; waits for it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except BaseException:
        os.close(handle)
        raise
    return handle
