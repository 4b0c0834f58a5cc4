"""What a failure of SQLite or of the disk means to the caller. Nothing else in this backend maps errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import Corrupt, InternalError, TailraceError, TooLarge, Unavailable


def translate(error: sqlite3.Error | OSError, path: Path) -> TailraceError:
    """The error to raise for one that came up while `path` (a file, or a shard's folder) was used."""
    match error:
        case sqlite3.OperationalError() | OSError():
            return Unavailable(f"`{path}` cannot be used now: {error}", hint="is the disk full, or failing?")
        case sqlite3.DataError():
            return TooLarge(f"a block is too large for `{path}`: {error}", hint="send smaller posts")
        case sqlite3.ProgrammingError() | sqlite3.InterfaceError():
            return InternalError(f"`{path}` was used wrongly: {error}", hint="please report it")
        case _:
            return Corrupt(str(path), str(error))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error
