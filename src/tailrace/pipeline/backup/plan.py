"""What is copied, in which order, and why the copy is of one moment although the node goes on.

While a hold lasts the batch process stands still: frontier, states, lake and dead letters do not change, and nothing is let go. Posts
are taken in and speed answers meanwhile. The stream is copied last, shard by shard, each file as of one transaction: it reaches from
the lake's marks to a place after all that was acknowledged before the backup began. A shard's high-water mark is copied before its
files: so it is never ahead of them, and what the copy of a file no longer has in a log is not taken for lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tailrace.config.settings import Settings
from tailrace.runtime.mark import MARK_FILE
from tailrace.states.manifest import ManifestStore

DATABASE_SUFFIX = ".db"
VIEWS = "views"
DASHBOARDS = "dashboards"
SHARDS_FILE = "shards.json"
_CHECKSUM_SUFFIX = ".crc"
_LEFT_OUT = ("-wal", "-shm", ".tmp", ".lock")


@dataclass(frozen=True, slots=True)
class Item:
    """One file. `database`: SQLite's own copy of it is taken, as of one transaction."""

    source: Path
    path: str
    database: bool


def held_items(settings: Settings) -> Iterator[Item]:
    """What batch alone writes: manifest, the segments that it names (speed's are made anew from the stream), lake, dead letters;
    and what only people change: pins, alerts, dashboards, what the Kinesis API keeps."""
    yield from _one(settings, settings.manifest_path.with_name(MARK_FILE))
    yield from _one(settings, settings.manifest_path)
    if settings.manifest_path.exists():
        for name in sorted(ManifestStore(settings.manifest_path).current().segment_files()):
            yield from _one(settings, settings.states_dir / name)
    yield from _folder(settings, settings.lake_dir)
    yield from _one(settings, settings.dead_letters_path)
    yield from _one(settings, settings.pins_path)
    yield from _one(settings, settings.kinesis_path)
    yield from _one(settings, settings.alerts_path)
    if settings.alerts_dir is None:
        yield from _folder(settings, settings.rules_dir)
    yield from _one(settings, settings.boards_path)
    yield from dashboard_items(settings)


def stream_items(settings: Settings) -> Iterator[Item]:
    """Shards' marks and files, oldest first, each folder listed when it is its turn. The list of shards is not among them."""
    for shard in sorted(path for path in settings.stream_dir.glob("*") if path.is_dir()):
        yield from _one(settings, shard / MARK_FILE)
        yield from (item for item in _folder(settings, shard) if item.source.name != MARK_FILE)


def view_items(settings: Settings) -> Iterator[Item]:
    if settings.views_dir.is_dir():
        for path in sorted(settings.views_dir.glob("*.sql")):
            yield Item(path, f"{VIEWS}/{path.name}", database=False)


def dashboard_items(settings: Settings) -> Iterator[Item]:
    """Wherever their folder is: a restore puts them into that of the data folder."""
    if settings.boards_dir.is_dir():
        for path in sorted(settings.boards_dir.glob("*.json")):
            if path.is_file() and not path.name.startswith("."):
                yield Item(path, f"{DASHBOARDS}/{path.name}", database=False)


def copy_database(source: Path, target: Path) -> None:
    """SQLite's online copy: one transaction's state, whatever is being written."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as writer,
    ):
        reader.backup(writer)


def _folder(settings: Settings, folder: Path) -> Iterator[Item]:
    for path in sorted(folder.rglob("*")):
        hidden = path.name.startswith(".") and not path.name.endswith(_CHECKSUM_SUFFIX)
        if path.is_file() and not path.name.endswith(_LEFT_OUT) and not hidden:
            yield from _one(settings, path)


def _one(settings: Settings, path: Path) -> Iterator[Item]:
    if path.is_file():
        yield Item(path, path.relative_to(settings.data_dir).as_posix(), path.suffix == DATABASE_SUFFIX)
