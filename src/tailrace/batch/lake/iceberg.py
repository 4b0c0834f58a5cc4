"""The Iceberg lake as its one writer holds it: staged files, atomic appends, expiry of old snapshots, removal of what a crash left.

A SQLite catalog and plain files, both in the data folder. Rows and marks become visible together, in one commit of the catalog;
everything the commit names is synced to disk before it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.snapshot import ExpireSnapshots

from tailrace.batch.base import LakeMark, LakeSnapshot, StagedFile
from tailrace.batch.lake.local_io import FILE_IO, ROOT_PROPERTY, WAREHOUSE, local_path, location_of, remove
from tailrace.batch.lake.orphans import remove_orphans, unreachable_after_expiry
from tailrace.batch.lake.parquet import ParquetStage
from tailrace.batch.lake.reader import BUSY_TIMEOUT_S, CATALOG, IcebergReader, reading, refuse_lost_catalog
from tailrace.batch.lake.table import (
    MARKS,
    NAMESPACE,
    TABLE,
    TABLE_PROPERTIES,
    encode_marks,
    marks_of,
    new_columns,
    parquet_schema,
    place_of,
    table_schema,
)
from tailrace.errors import Conflict, Fenced, Invalid
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
    """See WritableLake. Creates the table when first opened, and adds columns for fields that are new in the configuration."""

    def __init__(self, folder: Path, fields: Fields, clock: Clock | None = None) -> None:
        super().__init__(folder)
        make_folder(self.data_dir)
        self._lock_file = _take_lock(folder / "writer.lock")
        self._clock = clock or SystemClock()
        try:
            with reading(folder):
                self._catalog = _open_catalog(folder)
                self._table = _open_table(self._catalog, self._warehouse, fields)
                self._file_schema = parquet_schema(self._table.schema())
                check_mark(read_mark(folder), place_of(self._table.metadata), folder / CATALOG)
                remove_orphans(self._table, self._warehouse, self._clock.now_us())
        except BaseException:
            os.close(self._lock_file)
            raise

    def current(self) -> LakeSnapshot:
        """The newest snapshot; what the next `append` builds on."""
        snapshot = super().current()
        if snapshot.totals.snapshot_id != _snapshot_id(self._table):
            self._table.refresh()
        return snapshot

    def stage(self, shard_id: str, epoch_first: int, epoch_last: int) -> IcebergStage:
        folder = self.data_dir / shard_id
        make_folder(folder)
        path = folder / f"{epoch_first:010d}-{epoch_last:010d}-{unique_id()}.parquet"
        return IcebergStage(ParquetStage(path, self._file_schema), shard_id, epoch_first, epoch_last)

    def append(self, files: Sequence[StagedFile], marks: Mapping[str, LakeMark]) -> LakeSnapshot:
        before = marks_of(self._table.metadata.current_snapshot())
        _check_marks(files, before, marks)
        dropped: list[str] = []
        try:
            with reading(self._folder), self._table.transaction() as transaction:
                summary = {MARKS: encode_marks({**before, **marks})}
                with transaction.update_snapshot(snapshot_properties=summary).merge_append() as added:
                    for file in files:
                        entry = parquet_file_to_data_file(self._table.io, self._table.metadata, file.location)
                        added.append_data_file(entry)
                dropped = self._expire(transaction)
        except CommitFailedException as error:
            self._table.refresh()
            raise _lost_race(before, marks_of(self._table.metadata.current_snapshot())) from error
        with suppress(OSError):
            write_mark(self._folder, place_of(self._table.metadata))
        for location in dropped:
            remove(local_path(location, self._warehouse))
        return super().current()

    def close(self) -> None:
        super().close()
        self._catalog.close()
        os.close(self._lock_file)

    def _expire(self, transaction: Transaction) -> list[str]:
        """Stage the removal of old snapshots once there are many; the metadata files that only they name."""
        metadata = self._table.metadata
        if len(metadata.snapshots) < 2 * SNAPSHOTS_KEPT:
            return []
        order = sorted(metadata.snapshots, key=lambda s: s.sequence_number or 0)
        tagged = {ref.snapshot_id for ref in metadata.refs.values()}
        old = [s for s in order[:-SNAPSHOTS_KEPT] if s.snapshot_id not in tagged]
        ExpireSnapshots(transaction).by_ids([s.snapshot_id for s in old]).commit()
        return unreachable_after_expiry(order, old, self._table.io)


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
        with table.update_schema() as update:
            for column in added:
                update.add_column(column.name, column.field_type)
    return table


def _check_marks(files: Sequence[StagedFile], before: Mapping[str, LakeMark], marks: Mapping[str, LakeMark]) -> None:
    """Raises Invalid unless every mark moves forward and every file lies between its shard's old mark and the new one."""
    for shard, mark in marks.items():
        held = before.get(shard, LakeMark())
        if mark.epoch < held.epoch or mark.last_offset < held.last_offset:
            raise Invalid(f"shard `{shard}` is read to epoch `{held.epoch}`, and cannot go back to `{mark.epoch}`")
    for file in files:
        held, mark = before.get(file.shard_id, LakeMark()), marks.get(file.shard_id, LakeMark())
        if not held.epoch < file.epoch_first <= file.epoch_last <= mark.epoch:
            raise Invalid(
                f"`{file.path.name}` holds epochs `{file.epoch_first}` to `{file.epoch_last}` of `{file.shard_id}`,"
                f" and the append is for `{held.epoch + 1}` to `{mark.epoch}`"
            )


def _lost_race(before: Mapping[str, LakeMark], now: Mapping[str, LakeMark]) -> Conflict:
    if now != before:
        return Fenced("another batch process has moved the lake on", hint="stop this one")
    return Conflict("another program has changed the lake", hint="read the position again and redo the step")


def _snapshot_id(table: Table) -> int | None:
    snapshot = table.metadata.current_snapshot()
    return snapshot.snapshot_id if snapshot else None
