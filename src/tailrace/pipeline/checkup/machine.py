"""The machine: Python, packages, the built page, the disk under the data folder."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sqlite3
import sys
from pathlib import Path

from tailrace.dashboard.app import STATIC_DIR
from tailrace.pipeline.checkup.finding import FAIL, OK, WARN, Finding
from tailrace.runtime.clock import Clock

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 37)
PACKAGES = ("duckdb", "pyarrow", "pyiceberg", "sqlglot", "starlette", "uvicorn", "msgspec")
FREE_BYTES_FAIL, FREE_BYTES_WARN = 1 << 30, 10 << 30
USED_WARN = 0.9
FSYNC_SAMPLES = 16
FSYNC_MS_WARN, FSYNC_MS_FAIL = 20.0, 200.0
IN_MEMORY = {"tmpfs", "ramfs"}
OVER_THE_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs"}


def python() -> Finding:
    detail = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if sys.version_info < PYTHON_MIN:
        return Finding("python", FAIL, detail, "install Python 3.11 or newer")
    return Finding("python", OK, detail)


def packages() -> Finding:
    """Versions of what the numbers depend on."""
    found: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return Finding("packages", FAIL, f"{name} is missing", "install Tailrace again: make setup")
    found.append(f"sqlite {sqlite3.sqlite_version}")
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        return Finding("packages", FAIL, ", ".join(found), "use a Python with SQLite 3.37 or newer")
    return Finding("packages", OK, ", ".join(found))


def page() -> Finding:
    index = STATIC_DIR / "index.html"
    if not index.is_file():
        return Finding("page", WARN, "the dashboard is not built; the API works without it", "make web")
    assets = sum(1 for path in STATIC_DIR.rglob("*") if path.is_file())
    return Finding("page", OK, f"built, {assets} files")


def disk(data_dir: Path) -> Finding:
    usage = shutil.disk_usage(nearest(data_dir))
    detail = f"{usage.free / (1 << 30):,.1f} GiB free of {usage.total / (1 << 30):,.1f}"
    if usage.free < FREE_BYTES_FAIL:
        return Finding("disk", FAIL, detail, "free some space, or choose another disk with --data")
    if usage.free < FREE_BYTES_WARN or usage.used / usage.total > USED_WARN:
        return Finding("disk", WARN, detail, "free some space soon, or choose another disk with --data")
    return Finding("disk", OK, detail)


def file_system(data_dir: Path) -> Finding:
    """Locks and shared memory of SQLite need a local file system; durability needs one on a disk."""
    name = file_system_of(nearest(data_dir).resolve(), _mounts())
    if name in OVER_THE_NETWORK:
        return Finding(
            "file system", FAIL, f"{name}: locks do not hold over the network", "choose a local disk with --data"
        )
    if name in IN_MEMORY:
        return Finding(
            "file system", WARN, f"{name}: everything is lost when the machine restarts", "choose a disk with --data"
        )
    return Finding("file system", OK, name or "unknown")


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the mount that holds `path`. `mounts`: the text of /proc/mounts, or empty where there is none."""
    best, name = -1, ""
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) >= 3:
            point = Path(words[1].replace("\\040", " "))
            if path.is_relative_to(point) and len(point.parts) >= best:
                best, name = len(point.parts), words[2]
    return name


def fsync(data_dir: Path, clock: Clock) -> Finding:
    """How long the disk takes to make 4 KiB durable: the floor of every acknowledgement."""
    folder = nearest(data_dir)
    path = folder / f".tailrace-fsync-{os.getpid()}"
    taken_ms: list[float] = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(FSYNC_SAMPLES):
            os.write(handle, bytes(4096))
            started_s = clock.monotonic_s()
            os.fsync(handle)
            taken_ms.append((clock.monotonic_s() - started_s) * 1000)
    finally:
        os.close(handle)
        path.unlink()
    median = sorted(taken_ms)[len(taken_ms) // 2]
    detail = f"median {median:.2f} ms, longest {max(taken_ms):.2f} ms"
    if median >= FSYNC_MS_FAIL:
        return Finding("fsync", FAIL, detail, "choose a faster disk with --data")
    if median >= FSYNC_MS_WARN:
        return Finding("fsync", WARN, detail, "acknowledgements will be slow; an SSD takes about 1 ms")
    return Finding("fsync", OK, detail)


def nearest(path: Path) -> Path:
    """`path`, or the folder above it that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
