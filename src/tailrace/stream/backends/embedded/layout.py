"""The folder of a stream: `shards.json`, a folder a shard, a file a generation; how each comes to be, whole or not at all.

Called when a stream is opened, when a shard turns to its next file or lets its oldest go, and when it is split or merged.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tailrace.errors import NotFound, TailraceError
from tailrace.model.fields import Fields
from tailrace.model.shard import Shard, even_shards
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import make_folder, sync_folder, write_atomic
from tailrace.runtime.mark import read_mark
from tailrace.stream.backends.embedded.dedupe import check_dedupe
from tailrace.stream.backends.embedded.file import ShardFile, remembered_path
from tailrace.stream.backends.embedded.layout_file import LOCK_FILE, SHARDS_FILE, Layout
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.rows import About, FileState, about_row, update_state
from tailrace.stream.backends.embedded.schema import SCHEMA_VERSION, create_tables
from tailrace.stream.base import LedgerCounts

FIRST_GENERATION = 1
_GENERATION = re.compile(r"(\d{8})\.db")
_REMEMBERED = re.compile(r"(\d{8})\.stamps\.db")


def generation_path(folder: Path, generation: int) -> Path:
    return folder / f"{generation:08d}.db"


def generations(folder: Path) -> list[int]:
    """Generations that stand in a shard's folder, ascending."""
    return sorted(int(m[1]) for m in map(_GENERATION.fullmatch, os.listdir(folder)) if m)


def remembered(folder: Path) -> list[Path]:
    """Those that stand in a shard's folder, oldest first."""
    return [folder / name for name in sorted(filter(_REMEMBERED.fullmatch, os.listdir(folder)))]


def create_generation(
    folder: Path,
    shard_id: str,
    generation: int,
    *,
    first_offset: int,
    first_epoch: int,
    deduplicated: int,
    created_at_us: int,
    fields: Fields,
    ended_at_us: int | None = None,
) -> None:
    """Make the file of `generation`; if it exists already, it stays as it is. Returns once file and name are on disk.

    The caller holds the lock of the shard, or that of the stream's creation. `deduplicated`: duplicates that came in after
    the last seal of the file before, so that no count is lost. `ended_at_us`: the shard has ended then, and no line comes into the file.
    """
    path = generation_path(folder, generation)
    temporary = folder / f".{path.name}.tmp"
    # A maker that died may have left one.
    _remove(temporary)
    connection = create_tables(temporary)
    try:
        connection.execute("BEGIN")
        about = About(generation, first_offset, first_epoch, created_at_us, fields_json(fields))
        connection.execute(
            "INSERT INTO about VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", about_row(about, SCHEMA_VERSION, shard_id)
        )
        counts = LedgerCounts(deduplicated=deduplicated)
        ended = ended_at_us is not None
        state = FileState(first_offset, first_epoch, first_offset, counts, 0, ended, ended_at_us or 0, ended)
        connection.execute("INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
        update_state(connection, state)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    try:
        os.link(temporary, path)
    except FileExistsError:
        # Another process was first: its file is as good.
        pass
    finally:
        _remove(temporary)
    sync_folder(folder)


def ensure_stream(folder: Path, count: int, fields: Fields, clock: Clock, *, read_only: bool) -> None:
    """Create the stream in `folder` with `count` shards if there is none.

    Safe when many processes do it at once. A stream that exists keeps its shards, whatever `count` says.
    """
    if (folder / SHARDS_FILE).exists():
        return
    if read_only:
        raise NotFound(f"there is no stream in `{folder}`", hint="start the node first: tailrace up")
    make_folder(folder)
    with exclusive(folder / LOCK_FILE):
        if not (folder / SHARDS_FILE).exists():
            shards = even_shards(count, clock.now_us() // 1_000_000)
            for shard in shards:
                create_shard(folder, shard, fields, clock)
            # Where it stands, all of the stream stands.
            write_atomic(folder / SHARDS_FILE, Layout(shards).encoded())


def create_shard(folder: Path, shard: Shard, fields: Fields, clock: Clock) -> None:
    """Make the folder of a shard that the layout does not name yet, and its first file. Returns once both are on disk.

    A file that is there and begins as it should stays: a power cut may have taken the layout back after the shard was in use.
    Any other is what an attempt that died has left. The caller holds the lock of the stream's layout.
    """
    shard_folder = folder / shard.id
    if shard_folder.exists() and _begins_at(shard_folder, shard):
        # Its maker may have died before the names were on disk.
        sync_folder(shard_folder)
        sync_folder(folder)
        return
    shutil.rmtree(shard_folder, ignore_errors=True)
    shard_folder.mkdir()
    create_generation(
        shard_folder,
        shard.id,
        FIRST_GENERATION,
        first_offset=0,
        first_epoch=shard.first_epoch,
        deduplicated=0,
        created_at_us=clock.now_us(),
        fields=fields,
    )
    sync_folder(folder)


def _begins_at(folder: Path, shard: Shard) -> bool:
    """Whether the shard's first file is there, with its first epoch."""
    try:
        file = ShardFile(generation_path(folder, FIRST_GENERATION), shard.id)
    except FileNotFoundError:
        return False
    except TailraceError:
        if read_mark(folder) != (0, 0):
            # It has been in use: damage, and no attempt that died.
            raise
        return False
    file.release()
    return file.about.first_epoch == shard.first_epoch


def fields_json(fields: Fields) -> str:
    rows: list[dict[str, Any]] = [{"name": f.name, "kind": f.kind.value, "scale": f.scale} for f in fields.all]
    return json.dumps(rows)


def remember_generation(file: ShardFile) -> None:
    """Make the file of what deduplication remembers of a closed one, if it remembers anything. Returns once it is on disk.

    The caller holds the lock of the shard. Raises Corrupt if what is remembered is damaged: a copy would look sound.
    """
    check_dedupe(file.select, file.path.__str__)
    path = remembered_path(file.path)
    temporary = path.with_name(f".{path.name}.tmp")
    _remove(temporary)
    try:
        if _copy_stamps(file, temporary):
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        _remove(temporary)


def _copy_stamps(file: ShardFile, path: Path) -> int:
    """Make the file `path` as `file` is, with its stamps and without its lines. Returns how many stamps there are."""
    with closing(create_tables(path)) as connection:
        connection.execute("ATTACH ? AS source", (str(file.path),))
        connection.execute("BEGIN")
        connection.execute("INSERT INTO dedupe SELECT * FROM source.dedupe")
        (rows,) = connection.execute("SELECT count(*) FROM dedupe").fetchone()
        row = about_row(file.about, SCHEMA_VERSION, file.shard_id)
        connection.execute("INSERT INTO about VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
        # The tables are of the newest version, also where those of `file` are older.
        update_state(connection, replace(file.state(), summed=True, hashed=True))
        connection.execute("COMMIT")
        connection.execute("DETACH source")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return int(rows)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
