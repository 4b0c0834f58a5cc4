"""Dropping the oldest files of a shard, whole. Called by whoever trims, with its own frontier."""

from __future__ import annotations

from pathlib import Path

from tailrace.runtime.files import sync_folder
from tailrace.stream.backends.embedded.files import ShardFiles
from tailrace.stream.backends.embedded.locks import exclusive


def drop_files(
    files: ShardFiles, lock_path: Path, through_epoch: int, before_us: int, bytes_max: int | None = None
) -> int:
    """See `StreamBackend.trim`. The newest file stays even if it is closed: it alone says where the shard ends."""
    with exclusive(lock_path):
        kept = files.all()
        size = sum(file.size_bytes() for file in kept)
        dropped = 0
        for file in kept[:-1]:
            state = file.state()
            wanted = state.closed_at_us < before_us or (bytes_max is not None and size > bytes_max)
            if not state.closed or state.open_epoch - 1 > through_epoch or not wanted:
                break
            size -= file.size_bytes()
            file.path.unlink()
            dropped += 1
        if dropped:
            _remove_orphans(files.folder)
            sync_folder(files.folder)
            files.refresh()
        return dropped


def _remove_orphans(folder: Path) -> None:
    """Remove the WALs whose file is gone, also those of a run that died half-way."""
    for pattern in ("*.db-wal", "*.db-shm"):
        for path in folder.glob(pattern):
            if not path.with_name(path.name[:-4]).exists():
                path.unlink(missing_ok=True)
