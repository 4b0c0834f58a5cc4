"""Files of the lake that no snapshot names: what expiry lets go, and what a crash between writing and committing left behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from tailrace.batch.lake.local_io import checksum_path, local_path
from tailrace.batch.lake.table import TABLE

METADATA_AGE_US = 3_600_000_000
"""Metadata files may belong to another engine's commit under way; an hour old, they do not."""
_OWN_DATA_FILE = re.compile(r"\d{10,}-\d{10,}-[0-9a-f]{16}(-[0-9a-f]{8})?\.parquet")


def remove_orphans(table: Table, warehouse: Path, now_us: int) -> list[Path]:
    """Delete them, and return their paths. The caller holds the writer's lock, so no file of ours is being written."""
    root = warehouse / TABLE
    data, described = _reachable(table.metadata, table.io, warehouse)
    current = local_path(table.metadata_location, warehouse)
    described |= {current, checksum_path(current)}
    orphans = [p for p in _files(root / "data") if _OWN_DATA_FILE.fullmatch(p.name) and p not in data]
    orphans += [p for p in _files(root / "metadata") if p not in described and _age_us(p, now_us) > METADATA_AGE_US]
    for path in orphans:
        path.unlink(missing_ok=True)
    return orphans


def unreachable_after_expiry(order: Sequence[Snapshot], expired: Sequence[Snapshot], io: FileIO) -> list[str]:
    """Locations of manifest lists and manifests that only `expired` (a part of `order`, all snapshots) need."""
    gone = {s.snapshot_id for s in expired}
    kept = {m.manifest_path for s in order if s.snapshot_id not in gone for m in s.manifests(io)}
    named = {m.manifest_path for s in expired for m in s.manifests(io)}
    return [s.manifest_list for s in expired] + sorted(named - kept)


def _reachable(metadata: TableMetadata, io: FileIO, warehouse: Path) -> tuple[set[Path], set[Path]]:
    """Data files, and metadata files, that some kept snapshot or the metadata log names."""
    manifests = {m.manifest_path: m for s in metadata.snapshots for m in s.manifests(io)}
    entries = (e for m in manifests.values() for e in m.fetch_manifest_entry(io, discard_deleted=True))
    described: list[str] = [log.metadata_file for log in metadata.metadata_log]
    described += [s.manifest_list for s in metadata.snapshots]
    described += manifests
    described += [f.statistics_path for f in metadata.statistics]
    kept = _local(described, warehouse)
    return _local((e.data_file.file_path for e in entries), warehouse), kept | {checksum_path(p) for p in kept}


def _local(locations: Iterable[str], warehouse: Path) -> set[Path]:
    return {local_path(location, warehouse) for location in locations}


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file())


def _age_us(path: Path, now_us: int) -> int:
    return now_us - path.stat().st_mtime_ns // 1000
