"""One node a data folder: an exclusive lock that ends with the processes that hold it.

The lock is the kernel's (`flock`), so a power cut or kill -9 leaves nothing behind. The supervisor's children inherit it: were the
supervisor killed, a new one waits until the last child of the old one is gone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.errors import Conflict, Unavailable
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import make_folder

FILE_NAME = "lock"
WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class DataLock:
    """`handle`: an open file descriptor; the lock holds until it and all its copies in other processes are closed."""

    handle: int

    def release(self) -> None:
        os.close(self.handle)


def acquire(run_dir: Path, clock: Clock) -> DataLock:
    """Take the lock, or raise Conflict that names the process that has it.

    If its owner is dead and only children of it are left, waits up to ten seconds for them. Raises Unavailable if the folder cannot
    be written.
    """
    path = run_dir / FILE_NAME
    try:
        make_folder(run_dir.parent)
        run_dir.mkdir(exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"the data folder cannot be written: {error}", hint="choose another folder with --data"
        ) from error
    deadline_s = clock.monotonic_s() + WAIT_S
    while not _try(handle):
        owner = read_owner(path)
        if is_alive(owner) or clock.monotonic_s() >= deadline_s:
            os.close(handle)
            raise _held(run_dir.parent, owner)
        clock.sleep(0.05)
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid()}).encode(), 0)
    return DataLock(handle)


def is_held(run_dir: Path) -> bool:
    """Whether any process has the lock now."""
    try:
        handle = os.open(run_dir / FILE_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(handle)
    finally:
        os.close(handle)


def read_owner(path: Path) -> int | None:
    """The pid that last took the lock, alive or not."""
    try:
        value: Any = json.loads(path.read_bytes())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, int) else None


def is_alive(pid: int | None) -> bool:
    if pid is None or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _held(data_dir: Path, owner: int | None) -> Conflict:
    if is_alive(owner):
        return Conflict(
            f"a node runs on `{data_dir}` already, with pid `{owner}`",
            hint=f"use that one, end it with: kill {owner}, or choose another folder with --data",
        )
    return Conflict(
        f"processes of an earlier node still use `{data_dir}`",
        hint="they end by themselves within seconds: try again, or look for `tailrace.pipeline.main` in ps",
    )
