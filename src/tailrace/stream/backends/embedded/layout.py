"""The folder of a stream: `shards.json`, a folder a shard, a file a generation; how each comes to be, whole or not at all.

Called when a stream is opened and when a shard turns to its next file.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

from tailrace.errors import Corrupt, Invalid, NotFound
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.model.shard import Shard, even_shards
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import make_folder, sync_folder, write_atomic
from tailrace.stream.backends.embedded.locks import exclusive
from tailrace.stream.backends.embedded.rows import About, FileState, about_row, update_state
from tailrace.stream.backends.embedded.schema import SCHEMA_VERSION, create_tables
from tailrace.stream.base import LedgerCounts

SHARDS_FILE = "shards.json"
SHARDS_VERSION = 1
LOCK_FILE = ".lock"
FIRST_GENERATION = 1
_GENERATION = re.compile(r"(\d{8})\.db")


def generation_path(folder: Path, generation: int) -> Path:
    return folder / f"{generation:08d}.db"


def generations(folder: Path) -> list[int]:
    """Generations that stand in a shard's folder, ascending."""
    return sorted(int(m[1]) for m in map(_GENERATION.fullmatch, os.listdir(folder)) if m)


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
) -> None:
    """Make the file of `generation`; if it exists already, it stays as it is. Returns once file and name are on disk.

    The caller holds the lock of the shard, or that of the stream's creation. `deduplicated`: duplicates that came in after
    the last seal of the file before, so that no count is lost.
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
        state = FileState(first_offset, first_epoch, first_offset, counts, 0, False, 0)
        connection.execute("INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
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


def open_shards(folder: Path, count: int, fields: Fields, clock: Clock, *, read_only: bool) -> tuple[Shard, ...]:
    """The shards of the stream in `folder`, which is created with `count` shards if there is none.

    Safe when many processes do it at once. A stream that exists keeps its shards, whatever `count` says.
    """
    path = folder / SHARDS_FILE
    if path.exists():
        return _load_shards(path)
    if read_only:
        raise NotFound(f"there is no stream in `{folder}`", hint="start the node first: tailrace up")
    make_folder(folder)
    with exclusive(folder / LOCK_FILE):
        if not path.exists():
            _create_stream(folder, even_shards(count, clock.now_us() // 1_000_000), fields, clock)
    return _load_shards(path)


def _create_stream(folder: Path, shards: tuple[Shard, ...], fields: Fields, clock: Clock) -> None:
    """Shards' first files, then `shards.json`: where it stands, all of the stream stands."""
    for shard in shards:
        shard_folder = folder / shard.id
        shard_folder.mkdir(exist_ok=True)
        create_generation(
            shard_folder,
            shard.id,
            FIRST_GENERATION,
            first_offset=0,
            first_epoch=1,
            deduplicated=0,
            created_at_us=clock.now_us(),
            fields=fields,
        )
    sync_folder(folder)
    rows = [
        {
            "index": s.index,
            "hash_first": str(s.hash_first),
            "hash_last": str(s.hash_last),
            "created_s": s.created_s,
            "parents": list(s.parents),
            "closed": s.closed,
        }
        for s in shards
    ]
    document = {"version": SHARDS_VERSION, "checksum": _checksum(rows), "shards": rows}
    write_atomic(folder / SHARDS_FILE, json.dumps(document, indent=1).encode())


def _checksum(rows: object) -> int:
    """CRC-32 of the rows as JSON without blanks; files older than this have none."""
    return zlib.crc32(json.dumps(rows, separators=(",", ":"), sort_keys=True).encode())


def _load_shards(path: Path) -> tuple[Shard, ...]:
    try:
        document = json.loads(path.read_bytes())
        if "checksum" in document and document["checksum"] != _checksum(document["shards"]):
            raise Corrupt(str(path), "its checksum does not match its shards")
        if document["version"] != SHARDS_VERSION:
            raise Corrupt(
                str(path), f"version `{document['version']}` is not known", hint="it may come from a newer Tailrace"
            )
        return tuple(
            Shard(
                r["index"],
                int(r["hash_first"]),
                int(r["hash_last"]),
                r["created_s"],
                tuple(r["parents"]),
                bool(r["closed"]),
            )
            for r in document["shards"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(str(path), f"it is not a list of shards: {error}") from error


def fields_json(fields: Fields) -> str:
    rows: list[dict[str, Any]] = [{"name": f.name, "kind": f.kind.value, "scale": f.scale} for f in fields.all]
    return json.dumps(rows)


def check_fields(stored: str, fields: Fields, path: Path) -> None:
    """Raise Invalid if a field of `fields` is stored in the file `path` with another type: its values could not be read."""
    for row in json.loads(stored):
        now = fields.get(row["name"])
        if now is not None and now.arrow_type != Field(now.name, FieldKind(row["kind"]), scale=row["scale"]).arrow_type:
            raise Invalid(
                f"field `{now.name}` is `{row['kind']}` (scale {row['scale']}) in `{path}`, and `{now.kind.value}` "
                f"(scale {now.scale}) in the configuration",
                hint="give the new field another name",
            )


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
