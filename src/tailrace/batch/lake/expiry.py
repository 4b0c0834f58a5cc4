"""Which snapshots of the table may go, and which metadata files go with them. The head of a branch, and what has a tag, stays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pyiceberg.io import FileIO
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from tailrace.batch.lake.table import committed_us


def too_many(metadata: TableMetadata, kept: int) -> list[Snapshot]:
    """All but the newest `kept`, once there are twice as many: pyiceberg copies all of them several times in each commit."""
    if len(metadata.snapshots) < 2 * kept:
        return []
    return _untagged(metadata, _by_age(metadata)[:-kept])


def superseded_before(metadata: TableMetadata, before_us: int) -> list[Snapshot]:
    """Those after which another was committed before `before_us`."""
    order = _by_age(metadata)
    return _untagged(metadata, [s for s, after in pairwise(order) if committed_us(after) < before_us])


def unreachable_after_expiry(metadata: TableMetadata, expired: Sequence[Snapshot], io: FileIO) -> list[str]:
    """Locations of manifest lists and manifests that only `expired` need."""
    gone = {s.snapshot_id for s in expired}
    if not gone:
        return []
    kept = {m.manifest_path for s in metadata.snapshots if s.snapshot_id not in gone for m in s.manifests(io)}
    named = {m.manifest_path for s in expired for m in s.manifests(io)}
    return [s.manifest_list for s in expired] + sorted(named - kept)


def _by_age(metadata: TableMetadata) -> list[Snapshot]:
    return sorted(metadata.snapshots, key=lambda s: s.sequence_number or 0)


def _untagged(metadata: TableMetadata, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    tagged = {ref.snapshot_id for ref in metadata.refs.values()}
    return [s for s in snapshots if s.snapshot_id not in tagged]
