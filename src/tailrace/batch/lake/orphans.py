"""Files of the lake that the newest snapshot does not name: what was replaced, what expiry lets go, what a crash left behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from tailrace.batch.lake.local_io import checksum_path, local_path
from tailrace.batch.lake.table import TABLE
from tailrace.runtime.file_times import modified_us

METADATA_AGE_US = 3_600_000_000
"""Metadata files may belong to another engine's commit under way; an hour old, they do not."""
_OWN_DATA_FILE = re.compile(r"\d{10,}-\d{10,}-[0-9a-f]{16}(-[0-9a-f]{8})?\.parquet")


def outdated_files(table: Table, warehouse: Path) -> dict[Path, set[int]]:
    """Data files of our naming that the newest snapshot does not name, with the ids of the kept snapshots that do."""
    metadata = table.metadata
    manifests = {m.manifest_path: m for s in metadata.snapshots for m in s.manifests(table.io)}
    named = {
        path: _local((e.data_file.file_path for e in m.fetch_manifest_entry(table.io, discard_deleted=True)), warehouse)
        for path, m in manifests.items()
    }
    on_disk = {p for p in _files(warehouse / TABLE / "data") if _OWN_DATA_FILE.fullmatch(p.name)}
    current = metadata.current_snapshot()
    live = {p for m in (current.manifests(table.io) if current else ()) for p in named[m.manifest_path]}
    outdated: dict[Path, set[int]] = {path: set() for path in on_disk - live}
    for snapshot in metadata.snapshots:
        for path in {p for m in snapshot.manifests(table.io) for p in named[m.manifest_path]} & outdated.keys():
            outdated[path].add(snapshot.snapshot_id)
    return outdated


def remove_metadata(table: Table, warehouse: Path, now_us: int) -> None:
    """Delete metadata files that nothing names once they are old. The caller holds the writer's lock."""
    described = _described(table.metadata, table.io, warehouse)
    current = local_path(table.metadata_location, warehouse)
    described |= {current, checksum_path(current)}
    for path in list(_files(warehouse / TABLE / "metadata")):
        if path not in described and now_us - modified_us(path) > METADATA_AGE_US:
            path.unlink(missing_ok=True)


def _described(metadata: TableMetadata, io: FileIO, warehouse: Path) -> set[Path]:
    """Metadata files that some kept snapshot or the metadata log names."""
    described = [log.metadata_file for log in metadata.metadata_log]
    described += [s.manifest_list for s in metadata.snapshots]
    described += [m.manifest_path for s in metadata.snapshots for m in s.manifests(io)]
    described += [f.statistics_path for f in metadata.statistics]
    kept = _local(described, warehouse)
    return kept | {checksum_path(path) for path in kept}


def _local(locations: Iterable[str], warehouse: Path) -> set[Path]:
    return {local_path(location, warehouse) for location in locations}


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file())
