"""One snapshot that takes files out of the table and may put others in, reading no manifest but those that name the ones taken out.

pyiceberg's own overwrite decodes every manifest of the table, twice; months of history would make each compaction dearer. It also
has no `replace`, the operation that tells other engines that the rows are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _MergeAppendFiles
from pyiceberg.typedef import EMPTY_DICT


class RewriteFiles(_MergeAppendFiles):
    """Like an append, also of how small manifests are merged; `touched` are those that name files to be taken out.

    `operation`: REPLACE where the added files hold the rows of the removed ones, DELETE where rows go.
    """

    def __init__(
        self,
        transaction: Transaction,
        io: FileIO,
        operation: Operation,
        summary: Mapping[str, str],
        touched: Mapping[str, Sequence[ManifestEntry]],
        removed: Iterable[str],
        added: Iterable[DataFile] = (),
    ) -> None:
        """`touched`: live entries by manifest path; `removed`: locations of data files, each in one of these."""
        super().__init__(Operation.OVERWRITE, transaction, io, snapshot_properties=dict(summary))
        self._said = operation
        self._touched = touched
        self._removed = frozenset(removed)
        for file in added:
            self.append_data_file(file)
        for entry in self._going():
            self.delete_data_file(entry.data_file)

    def _going(self) -> list[ManifestEntry]:
        return [e for entries in self._touched.values() for e in entries if e.data_file.file_path in self._removed]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        summary = super()._summary(snapshot_properties)
        return Summary(operation=self._said, **summary.additional_properties)

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED,
                snapshot_id=self.snapshot_id,
                sequence_number=entry.sequence_number,
                file_sequence_number=entry.file_sequence_number,
                data_file=entry.data_file,
            )
            for entry in self._going()
        ]

    def _existing_manifests(self) -> list[ManifestFile]:
        manifests: list[ManifestFile] = []
        for manifest in super()._existing_manifests():
            if manifest.manifest_path not in self._touched:
                manifests.append(manifest)
                continue
            kept = [e for e in self._touched[manifest.manifest_path] if e.data_file.file_path not in self._removed]
            if kept:
                manifests.append(self._rewritten(manifest, kept))
        return manifests

    def _rewritten(self, manifest: ManifestFile, kept: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(spec=self.spec(manifest.partition_spec_id)) as writer:
            for entry in kept:
                writer.existing(entry)
        return writer.to_manifest_file()


def entries_touched(
    manifests: Iterable[tuple[ManifestFile, AbstractSet[Path]]], removed: AbstractSet[Path], io: FileIO
) -> dict[str, list[ManifestEntry]]:
    """Live entries, by manifest path, of those manifests that name a file of `removed`. `manifests`: each with its files."""
    return {
        manifest.manifest_path: manifest.fetch_manifest_entry(io, discard_deleted=True)
        for manifest, files in manifests
        if not removed.isdisjoint(files)
    }
