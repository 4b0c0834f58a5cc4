"""When files were written, by the same wall clock that everything else is dated by."""

from __future__ import annotations

import os
from pathlib import Path

from tailrace.runtime.clock import real_us, wall_us


def modified_us(path: Path) -> int:
    """Microseconds since 1970, as the wall clock showed then. Raises FileNotFoundError."""
    return wall_us(path.stat().st_mtime_ns // 1000)


def set_modified(path: Path, now_us: int) -> None:
    """As if the file were written now; `now_us`: what the wall clock shows."""
    machine_ns = real_us(now_us) * 1000
    os.utime(path, ns=(machine_ns, machine_ns))
