"""Dropping the oldest files of a shard, whole. Called by whoever trims, with its own frontier."""

from __future__ import annotations

from pathlib import Path

from tailrace.runtime.files import sync_folder
from tailrace.stream.backends.embedded.file import ShardFile
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.layout import remember_generation
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.turn import OpenFile


def drop_files(
    files: ShardFiles, open_file: OpenFile, through_epoch: int, before_us: int, bytes_max: int | None = None
) -> int:
    """See `StreamBackend.trim`. The newest file stays even if it is closed: it alone says where the shard ends.

    That of a shard that was split or merged would stay for ever, with all its lines: an empty file takes its place. What deduplication
    remembers stays for its horizon, in a small file beside, whatever lets the lines go.
    """
    since_us = open_file.remembers_since_us()
    with exclusive(open_file.lock_path):
        forgotten = _forget(files, since_us)  # first, as it makes room for what the rest writes
        kept = files.all()
        size = sum(file.size_bytes() for file in kept)
        dropped = 0

        def is_due(file: ShardFile) -> bool:
            state = file.state()
            wanted = state.closed_at_us < before_us or (bytes_max is not None and size > bytes_max)
            return state.closed and state.open_epoch - 1 <= through_epoch and wanted

        for file in kept:
            if not is_due(file) or (file is kept[-1] and not open_file.leave_end_locked()):
                break
            size -= file.size_bytes()
            if file.state().closed_at_us >= since_us:
                remember_generation(file)
            file.path.unlink()
            dropped += 1
        if dropped or forgotten:
            _remove_orphans(files.folder)
            sync_folder(files.folder)
            files.refresh()
        return dropped


def _forget(files: ShardFiles, since_us: int) -> int:
    """Let go what is remembered of files that were closed before. Returns how many there were."""
    due = [file for file in files.remembered() if file.state().closed_at_us < since_us]
    for file in due:
        file.path.unlink()
    if due:
        _remove_orphans(files.folder)
    return len(due)


def _remove_orphans(folder: Path) -> None:
    """Remove the WALs whose file is gone, and what a run that died half-way was about to remember."""
    for pattern in ("*.db-wal", "*.db-shm"):
        for path in folder.glob(pattern):
            if not path.with_name(path.name[:-4]).exists():
                path.unlink(missing_ok=True)
    for path in folder.glob(".*.stamps.db.tmp*"):
        path.unlink(missing_ok=True)
