"""Reads an Iceberg lake from any process: which snapshot is current, its marks, its files. Never writes.

Asks the SQLite catalog for the table's metadata file and reads on from there; manifests never change, so each is decoded once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestFile
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from sqlalchemy.exc import SQLAlchemyError

from tailrace.batch.base import LakeFile, LakeMark, LakeSnapshot, LakeTotals
from tailrace.batch.lake.local_io import ROOT_PROPERTY, WAREHOUSE, LocalFileIO
from tailrace.batch.lake.table import NAMESPACE, TABLE, FileReader, marks_of, place_of, totals_of, trims_of
from tailrace.errors import Corrupt, NotFound, TailraceError
from tailrace.runtime.mark import check_mark, read_mark
from tailrace.runtime.storage_errors import translate

CATALOG = "catalog.db"
BUSY_TIMEOUT_S = 30
_LOCATION = (
    "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest table metadata that was read, and what its current snapshot holds."""

    location: str
    metadata: TableMetadata
    snapshot: LakeSnapshot


class IcebergReader:
    """See Lake. An absent table reads as an empty lake, so that readers may start before the batch process has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._warehouse = folder / WAREHOUSE
        self._io = LocalFileIO({ROOT_PROPERTY: str(self._warehouse)})
        self._lock = Lock()
        self._seen: _Seen | None = None
        self._manifests: dict[str, tuple[LakeFile, ...]] = {}

    @property
    def data_dir(self) -> Path:
        return self._warehouse / TABLE / "data"

    def current(self) -> LakeSnapshot:
        seen = self._look()
        return seen.snapshot if seen else LakeSnapshot()

    def position(self) -> Mapping[str, LakeMark]:
        return self.current().marks

    def totals(self) -> LakeTotals:
        return self.current().totals

    def snapshot_id(self) -> int | None:
        return self.current().totals.snapshot_id

    def files(self, snapshot_id: int | None = None) -> list[LakeFile]:
        seen = self._look()
        if snapshot_id is None or (seen and snapshot_id == seen.snapshot.totals.snapshot_id):
            return list(seen.snapshot.files) if seen else []
        snapshot = seen.metadata.snapshot_by_id(snapshot_id) if seen else None
        if seen is None or snapshot is None:
            raise NotFound(f"lake snapshot `{snapshot_id}` is not kept", hint="use a newer snapshot")
        with self._lock, reading(self._folder):
            return list(self._files(seen.metadata, snapshot))

    def close(self) -> None:
        self._manifests.clear()

    def _look(self) -> _Seen | None:
        with reading(self._folder):
            return self._look_again()

    def _look_again(self) -> _Seen | None:
        mark = read_mark(self._folder)  # before the catalog, which only ever gets further
        location = self._metadata_location()
        seen = self._seen
        if location is None or (seen is not None and seen.location == location):
            return seen
        with self._lock:
            try:
                metadata = FromInputFile.table_metadata(self._io.new_input(location))
                check_mark(mark, place_of(metadata), self._folder / CATALOG)
                self._seen = self._read(location, metadata)
            except FileNotFoundError as error:
                if self._metadata_location() == location:
                    raise Corrupt(str(error.filename), "the lake's metadata names it, and it is gone") from error
            else:
                return self._seen
        return self._look_again()

    def _read(self, location: str, metadata: TableMetadata) -> _Seen:
        snapshot = metadata.current_snapshot()
        files = self._files(metadata, snapshot) if snapshot else ()
        if snapshot:
            self._forget_manifests(snapshot)
        held = LakeSnapshot(totals_of(snapshot), marks_of(snapshot), files, trims_of(snapshot))
        return _Seen(location, metadata, held)

    def _files(self, metadata: TableMetadata, snapshot: Snapshot) -> tuple[LakeFile, ...]:
        reader = FileReader(metadata, self._warehouse)
        files = [f for manifest in snapshot.manifests(self._io) for f in self._manifest_files(manifest, reader)]
        return tuple(sorted(files, key=lambda f: (f.shard_id, f.epoch_first, f.epoch_last)))

    def _manifest_files(self, manifest: ManifestFile, reader: FileReader) -> tuple[LakeFile, ...]:
        known = self._manifests.get(manifest.manifest_path)
        if known is None:
            entries = manifest.fetch_manifest_entry(self._io, discard_deleted=True)
            known = tuple(reader.lake_file(entry.data_file) for entry in entries)
            self._manifests[manifest.manifest_path] = known
        return known

    def _forget_manifests(self, snapshot: Snapshot) -> None:
        live = {manifest.manifest_path for manifest in snapshot.manifests(self._io)}
        for path in self._manifests.keys() - live:
            del self._manifests[path]

    def _metadata_location(self) -> str | None:
        path = self._folder / CATALOG
        if not path.exists():
            return None
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            try:
                row = connection.execute(_LOCATION, (NAMESPACE, NAMESPACE, TABLE)).fetchone()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                row = None
        if row is None:
            refuse_lost_catalog(self._warehouse)
            return None
        return str(row[0])


def refuse_lost_catalog(warehouse: Path) -> None:
    """Raises Corrupt if there are data files: a catalog that knows no table has lost it."""
    if next((warehouse / TABLE / "data").rglob("*.parquet"), None) is not None:
        catalog = warehouse.parent / CATALOG
        raise Corrupt(str(catalog), f"it does not know the table whose files are in `{warehouse / TABLE}`")


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns what SQLite, the disk and pyiceberg say of a damaged lake into Corrupt, or Unavailable where it may pass."""
    try:
        yield
    except (TailraceError, CommitFailedException):
        raise
    except sqlite3.Error as error:
        raise translate(error, folder / CATALOG) from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        if isinstance(cause, sqlite3.Error):
            raise translate(cause, folder / CATALOG) from error
        raise Corrupt(str(folder / CATALOG), str(error).splitlines()[0]) from error
    except FileNotFoundError as error:
        raise Corrupt(str(error.filename or folder), "the lake's metadata names it, and it is gone") from error
    except OSError as error:
        raise translate(error, folder) from error
    except Exception as error:
        raise Corrupt(str(folder), f"its metadata does not read: {type(error).__name__}: {error}") from error
