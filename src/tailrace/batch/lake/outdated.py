"""Data files that the newest snapshot no longer names, and when each may be deleted.

A reader may have listed such a file from a snapshot that was kept a moment ago. So a file's modification time is set to the moment
at which the last snapshot that names it goes, just before that is committed, and the file is deleted ten minutes after it: the
time is with the file, and a restart knows it. What a crash left unnamed has the time at which it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from tailrace.runtime.file_times import modified_us, set_modified

AGE_US = 600_000_000
"""What nobody has named for so long, nobody reads: queries are bounded to far less."""


class Outdated:
    """`named_by`: files that are not in the newest snapshot, with the ids of the kept snapshots that they are in."""

    def __init__(self, named_by: Mapping[Path, AbstractSet[int]]) -> None:
        self._named_by = {path: set(ids) for path, ids in named_by.items()}

    def __bool__(self) -> bool:
        return bool(self._named_by)

    def add(self, path: Path, snapshot_ids: Iterable[int]) -> None:
        self._named_by[path] = set(snapshot_ids)

    @property
    def keepers(self) -> set[int]:
        """Snapshots that name such files."""
        return {number for ids in self._named_by.values() for number in ids}

    def before_expiry(self, kept: AbstractSet[int], now_us: int) -> None:
        """Stamp the files that no snapshot will name once only `kept` are left. Nothing else changes."""
        for path, ids in self._named_by.items():
            if ids and ids.isdisjoint(kept):
                _stamp(path, now_us)

    def after_expiry(self, kept: AbstractSet[int]) -> None:
        for ids in self._named_by.values():
            ids &= kept

    def delete_old(self, now_us: int, live: AbstractSet[Path]) -> int:
        """Delete the files that have been unnamed for long enough; how many. Those that are gone already are forgotten.

        `live`: the newest snapshot's files. If another engine has rolled the table back, some of ours may be among them again.
        """
        deleted = 0
        for path in [p for p, ids in self._named_by.items() if not ids]:
            unnamed_us = _stamp_of(path)
            if unnamed_us is None or path in live:
                del self._named_by[path]
            elif now_us - unnamed_us >= AGE_US:
                path.unlink(missing_ok=True)
                del self._named_by[path]
                deleted += 1
        return deleted


def _stamp(path: Path, now_us: int) -> None:
    if path.exists():
        set_modified(path, now_us)


def _stamp_of(path: Path) -> int | None:
    try:
        return modified_us(path)
    except FileNotFoundError:
        return None
