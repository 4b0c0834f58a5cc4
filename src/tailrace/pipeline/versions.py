"""Was the data folder written by a later version? Looked at before anything starts: what cannot be read must not be written on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tailrace import __version__
from tailrace.config.settings import Settings
from tailrace.errors import Newer
from tailrace.stream.backends.embedded.layout_file import SHARDS_FILE
from tailrace.stream.backends.embedded.layout_file import VERSION as LAYOUT_VERSION
from tailrace.stream.backends.embedded.schema import SCHEMA_VERSION, connect_reader


def check_versions(settings: Settings) -> None:
    """Raises Newer, naming the file. One that does not read is left to its reader, which says what is wrong with it."""
    layout = settings.stream_dir / SHARDS_FILE
    _check(layout, _layout_version(layout), LAYOUT_VERSION)
    for shard in sorted(path for path in settings.stream_dir.glob("*") if path.is_dir()):
        for newest in sorted(shard.glob("*.db"))[-1:]:
            _check(newest, _schema_version(newest), SCHEMA_VERSION)


def _check(path: Path, found: int | None, known: int) -> None:
    if found is not None and found > known:
        raise Newer(
            f"`{path}` has version `{found}`, and Tailrace {__version__} knows versions to `{known}`: a newer Tailrace has written it",
            hint="start the folder with that version, or restore a backup that was taken before it: tailrace restore",
        )


def _layout_version(path: Path) -> int | None:
    try:
        found = json.loads(path.read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int) else None


def _schema_version(path: Path) -> int | None:
    try:
        with closing(connect_reader(path)) as connection:
            row = connection.execute("SELECT schema_version FROM about").fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row and isinstance(row[0], int) else None
