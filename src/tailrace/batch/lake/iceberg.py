"""The Iceberg lake as its one writer holds it: staged files, atomic changes, expiry of old snapshots, removal of what is outdated.

A SQLite catalog and plain files, both in the data folder. Rows and marks become visible together, in one commit of the catalog;
everything the commit names is synced to disk before it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import ExpireSnapshots

from tailrace.batch.base import LakeFile, LakeMark, LakeMerge, LakeSnapshot, LakeTrim, StagedFile
from tailrace.batch.lake.checks import check_drop, check_marks, check_merges, trims_after
from tailrace.batch.lake.expiry import superseded_before, too_many, unreachable_after_expiry
from tailrace.batch.lake.local_io import FILE_IO, ROOT_PROPERTY, WAREHOUSE, local_path, location_of, remove
from tailrace.batch.lake.orphans import outdated_files, remove_metadata
from tailrace.batch.lake.outdated import AGE_US, Outdated
from tailrace.batch.lake.parquet import ParquetStage
from tailrace.batch.lake.reader import BUSY_TIMEOUT_S, CATALOG, IcebergReader, reading, refuse_lost_catalog
from tailrace.batch.lake.rewrite import RewriteFiles, entries_touched
from tailrace.batch.lake.table import (
    COMMITTED,
    MARKS,
    NAMESPACE,
    TABLE,
    TABLE_PROPERTIES,
    TRIMMED,
    FileReader,
    encode_marks,
    encode_trims,
    marks_of,
    new_columns,
    parquet_schema,
    place_of,
    table_schema,
    trims_of,
)
from tailrace.errors import Conflict, Fenced
from tailrace.model.fields import Fields
from tailrace.runtime.clock import Clock, SystemClock
from tailrace.runtime.files import make_folder, sync_folder
from tailrace.runtime.ids import unique_id
from tailrace.runtime.mark import check_mark, read_mark, write_mark

# Text that does not repeat is written without bounds on purpose; pyiceberg warns of it at every append.
logging.getLogger("pyiceberg.io.pyarrow").addFilter(lambda record: "statistics missing" not in str(record.msg))

SNAPSHOTS_KEPT = 16
"""At least this many, at most twice as many: expiry happens in every sixteenth append or so."""


class IcebergLake(IcebergReader):
    """See WritableLake. Creates the table when first opened, and adds columns for fields that are new in the configuration
    or have another type in it."""

    def __init__(self, folder: Path, fields: Fields, clock: Clock | None = None) -> None:
        super().__init__(folder)
        make_folder(self.data_dir)
        self._lock_file = _take_lock(folder / "writer.lock")
        self._clock = clock or SystemClock()
        try:
            with reading(folder):
                self._catalog = _open_catalog(folder)
                self._table = _open_table(self._catalog, self._warehouse, fields)
                self._file_schema = parquet_schema(self._table.schema(), fields)
                check_mark(read_mark(folder), place_of(self._table.metadata), folder / CATALOG)
                now_us = self._clock.now_us()
                remove_metadata(self._table, self._warehouse, now_us)
                self._outdated = Outdated(outdated_files(self._table, self._warehouse))
                self._outdated.delete_old(now_us, frozenset())
        except BaseException:
            os.close(self._lock_file)
            raise

    def current(self) -> LakeSnapshot:
        """The newest snapshot; what the next `append` builds on."""
        snapshot = super().current()
        if snapshot.totals.snapshot_id != _snapshot_id(self._table):
            with reading(self._folder):
                self._table.refresh()
        return snapshot

    def stage(self, shard_id: str, epoch_first: int, epoch_last: int, like: LakeFile | None = None) -> IcebergStage:
        folder = self.data_dir / shard_id
        make_folder(folder)
        path = folder / f"{epoch_first:010d}-{epoch_last:010d}-{unique_id()}.parquet"
        schema = self._file_schema if like is None else pq.read_schema(like.path)
        return IcebergStage(ParquetStage(path, schema), shard_id, epoch_first, epoch_last)

    def append(self, files: Sequence[StagedFile], marks: Mapping[str, LakeMark]) -> LakeSnapshot:
        before = marks_of(self._table.metadata.current_snapshot())
        check_marks(files, before, marks)

        def change(transaction: Transaction) -> None:
            summary = self._summary(marks={**before, **marks})
            with transaction.update_snapshot(snapshot_properties=summary).merge_append() as added:
                for file in files:
                    added.append_data_file(self._entry(file))

        return self._commit(change)

    def replace(self, merges: Sequence[LakeMerge]) -> LakeSnapshot:
        check_merges(merges, super().current().files)
        parts = [file for merge in merges for file in merge.files]
        return self._rewrite(Operation.REPLACE, parts, [merge.merged for merge in merges], self._summary())

    def drop(self, files: Sequence[LakeFile]) -> LakeSnapshot:
        held = super().current()
        check_drop(files, held.files)
        return self._rewrite(Operation.DELETE, files, (), self._summary(trims=trims_after(held.trimmed, files)))

    def clean(self) -> int:
        if not self._outdated:
            return 0
        now_us = self._clock.now_us()
        old = superseded_before(self._table.metadata, now_us - AGE_US)
        if self._outdated.keepers & {s.snapshot_id for s in old}:
            self._commit(lambda transaction: None, old)
        return self._outdated.delete_old(now_us, {file.path for file in super().current().files})

    def close(self) -> None:
        super().close()
        self._catalog.close()
        os.close(self._lock_file)

    def _summary(
        self, marks: Mapping[str, LakeMark] | None = None, trims: Mapping[str, LakeTrim] | None = None
    ) -> dict[str, str]:
        """What the next snapshot says of itself; what is not given stays as it is."""
        held = self._table.metadata.current_snapshot()
        return {
            MARKS: encode_marks(marks_of(held) if marks is None else marks),
            TRIMMED: encode_trims(trims_of(held) if trims is None else trims),
            COMMITTED: str(self._clock.now_us()),
        }

    def _entry(self, file: StagedFile) -> DataFile:
        return parquet_file_to_data_file(self._table.io, self._table.metadata, file.location)

    def _rewrite(
        self, operation: Operation, gone: Sequence[LakeFile], added: Sequence[StagedFile], summary: Mapping[str, str]
    ) -> LakeSnapshot:
        """Raises Conflict if one of `gone` is not in the snapshot that this builds on."""
        metadata, io = self._table.metadata, self._table.io
        snapshot = metadata.current_snapshot()
        paths = {file.path for file in gone}
        reader = FileReader(metadata, self._warehouse)
        with self._lock, reading(self._folder):
            named = [(m, self._manifest_files(m, reader)) for m in (snapshot.manifests(io) if snapshot else ())]
            touched = entries_touched(((m, {f.path for f in files}) for m, files in named), paths, io)
        going = {local_path(e.data_file.file_path, self._warehouse): e for es in touched.values() for e in es}
        if not paths <= going.keys():
            raise Conflict("another program has changed the lake", hint="read the position again and redo the step")
        removed = {going[path].data_file.file_path for path in paths}

        def change(transaction: Transaction) -> None:
            entries = [self._entry(file) for file in added]
            RewriteFiles(transaction, io, operation, summary, touched, removed, entries).commit()

        after = self._commit(change)
        kept = {s.snapshot_id: s.sequence_number or 0 for s in self._table.metadata.snapshots}
        del kept[self._table.metadata.current_snapshot_id or 0]
        for path in paths:
            since = going[path].sequence_number or 0
            self._outdated.add(path, (number for number, sequence in kept.items() if sequence >= since))
        return after

    def _commit(self, change: Callable[[Transaction], None], expired: Sequence[Snapshot] | None = None) -> LakeSnapshot:
        """Do `change` and let old snapshots go (by default those that are too many), in one commit of the catalog."""
        metadata = self._table.metadata
        before = marks_of(metadata.current_snapshot())
        expired = too_many(metadata, SNAPSHOTS_KEPT) if expired is None else expired
        kept = {s.snapshot_id for s in metadata.snapshots} - {s.snapshot_id for s in expired}
        self._outdated.before_expiry(kept, self._clock.now_us())
        with reading(self._folder):
            dropped = unreachable_after_expiry(metadata, expired, self._table.io)
        try:
            with reading(self._folder), self._table.transaction() as transaction:
                change(transaction)
                if expired:
                    ExpireSnapshots(transaction).by_ids([s.snapshot_id for s in expired]).commit()
        except CommitFailedException as error:
            self._table.refresh()
            raise _lost_race(before, marks_of(self._table.metadata.current_snapshot())) from error
        with suppress(OSError):
            write_mark(self._folder, place_of(self._table.metadata))
        self._outdated.after_expiry(kept)
        for location in dropped:
            remove(local_path(location, self._warehouse))
        return super().current()


class IcebergStage:
    """See Stage."""

    def __init__(self, stage: ParquetStage, shard_id: str, epoch_first: int, epoch_last: int) -> None:
        self._stage = stage
        self._shard_id = shard_id
        self._epochs = (epoch_first, epoch_last)
        self.write = stage.write
        self.discard = stage.discard

    def finish(self) -> StagedFile | None:
        size = self._stage.finish()
        if not size:
            return None
        path = self._stage.path
        return StagedFile(path, location_of(path), self._shard_id, *self._epochs, self._stage.rows, size)


def _take_lock(path: Path) -> int:
    """Hold the lake for writing until the process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise Conflict(
            f"another process writes the lake in `{path.parent}`", hint="stop it, or use another data folder"
        ) from error
    return handle


def _open_catalog(folder: Path) -> SqlCatalog:
    database = folder / CATALOG
    with closing(sqlite3.connect(database, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    sync_folder(folder)
    warehouse = folder / WAREHOUSE
    return SqlCatalog(
        NAMESPACE,
        **{
            "uri": f"sqlite:///{database}?timeout={BUSY_TIMEOUT_S}",
            "warehouse": location_of(warehouse),
            "py-io-impl": FILE_IO,
            ROOT_PROPERTY: str(warehouse),
        },
    )


def _open_table(catalog: SqlCatalog, warehouse: Path, fields: Fields) -> Table:
    catalog.create_namespace_if_not_exists(NAMESPACE)
    if not catalog.table_exists((NAMESPACE, TABLE)):
        refuse_lost_catalog(warehouse)
        location = location_of(warehouse / TABLE)
        return catalog.create_table((NAMESPACE, TABLE), table_schema(fields), location, properties=TABLE_PROPERTIES)
    table = catalog.load_table((NAMESPACE, TABLE))
    added = new_columns(table.schema(), fields)
    if added:
        held = set(table.schema().column_names)
        # A column that gets another type becomes a new one of the same name: files keep the old one.
        with table.update_schema(allow_incompatible_changes=True) as update:
            for column in added:
                if column.name in held:
                    update.delete_column(column.name)
                update.add_column(column.name, column.field_type)
    return table


def _lost_race(before: Mapping[str, LakeMark], now: Mapping[str, LakeMark]) -> Conflict:
    if now != before:
        return Fenced("another batch process has moved the lake on", hint="stop this one")
    return Conflict("another program has changed the lake", hint="read the position again and redo the step")


def _snapshot_id(table: Table) -> int | None:
    snapshot = table.metadata.current_snapshot()
    return snapshot.snapshot_id if snapshot else None
