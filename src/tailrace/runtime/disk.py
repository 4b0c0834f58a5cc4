"""How full the file system is that holds a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes that files take, and those that may still be written by this user; what is reserved for others is in neither."""

    used: int
    free: int

    @property
    def percent(self) -> float:
        """As `df` says it."""
        return 100 * self.used / max(self.used + self.free, 1)


def disk_use(folder: Path) -> DiskUse:
    """Of the file system of `folder`, or of the nearest folder above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return DiskUse((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize)
