"""The tables inside one file of a shard, and how SQLite is opened on it.

A file is `<generation:08d>.db` in the shard's folder. Everything about the file is inside it, so that each transaction is
about one file only, and a file is dropped whole.

    about    one row, never changed: what the file is and where it begins
    state    one row, changed by every append and seal: the next offset, the open epoch, its counts and hash, whether it is closed
    blocks   one row a block. `raw` stands last: whoever reads columns never touches its pages
    epochs   one row a sealed epoch
    dedupe   one row a producer's stamp: the lines of that post that this file holds
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from pathlib import Path

SCHEMA_VERSION = 3
SCHEMA_VERSIONS = (1, 2, SCHEMA_VERSION)
"""Those that are read and written; new files are of the last. Version 1 has no checksums in `about`, `state` and `epochs`; 1 and 2
have no hash of records in `state` and `epochs`."""

OPEN, CLOSED, ENDED = 0, 1, 2
"""`state.closed`: taking appends; closed, the next file goes on; closed, and the shard ends with it."""

PAGE_BYTES = 16384
BUSY_TIMEOUT_MS = 10_000
WRITER_CACHE_KIB = 4096
READER_CACHE_KIB = 1024

TABLES = """
CREATE TABLE about (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    schema_version INTEGER NOT NULL,
    shard_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    fields TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next_offset INTEGER NOT NULL,
    open_epoch INTEGER NOT NULL,
    open_first_offset INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    deduplicated INTEGER NOT NULL,
    open_arrived_max_us INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    closed_at_us INTEGER NOT NULL,
    record_hash INTEGER NOT NULL,
    hash_columns INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE blocks (
    first_offset INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    arrived_at_us INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    columns BLOB NOT NULL,
    raw BLOB NOT NULL
);
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    first_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    sealed_at_us INTEGER NOT NULL,
    arrived_max_us INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    deduplicated INTEGER NOT NULL,
    record_hash INTEGER NOT NULL,
    hash_columns INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE dedupe (
    producer TEXT NOT NULL,
    producer_epoch INTEGER NOT NULL,
    n INTEGER NOT NULL,
    lines BLOB NOT NULL,
    PRIMARY KEY (producer, producer_epoch, n)
) WITHOUT ROWID;
"""


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that may write. Transactions are explicit; a COMMIT returns once the WAL is fsynced.

    Checkpoints are ours (`checkpoint.py`), so that no append pays for one.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Each statement is its own short transaction; it never blocks a writer."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    return connection


def create_tables(path: Path) -> sqlite3.Connection:
    """A new database at `path` (which must not exist) with empty tables."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(TABLES)
    return connection


def row_checksum(first_offset: int, count: int, epoch: int, arrived_at_us: int, size: int) -> int:
    """Guards a block's coordinates; its two halves carry checksums of their own."""
    return zlib.crc32(struct.pack("<5q", first_offset, count, epoch, arrived_at_us, size))
