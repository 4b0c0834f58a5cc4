"""What a failure of SQLite or of the disk means to the caller. Nothing else maps errors of storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import Corrupt, InternalError, TailraceError, TooLarge, Unavailable

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
    }
)
"""Primary result codes of failures that may be over soon. Source: sqlite.org/rescode."""
_SHORT_READ = sqlite3.SQLITE_IOERR_SHORT_READ


def translate(error: sqlite3.Error | OSError, path: Path) -> TailraceError:
    """The error to raise for one that came up while `path` (a file, or a folder) was used."""
    match error:
        case sqlite3.OperationalError() if not _may_pass(error):
            return Corrupt(str(path), str(error))
        case sqlite3.OperationalError() | OSError():
            return Unavailable(f"`{path}` cannot be used now: {error}", hint="is the disk full, or failing?")
        case sqlite3.DataError():
            return TooLarge(f"a block is too large for `{path}`: {error}", hint="send smaller posts")
        case sqlite3.ProgrammingError() | sqlite3.InterfaceError():
            return InternalError(f"`{path}` was used wrongly: {error}", hint="please report it")
        case _:
            return Corrupt(str(path), str(error))


def _may_pass(error: sqlite3.OperationalError) -> bool:
    """A missing table, a text that is none or a file that ends too soon will not mend itself."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code != _SHORT_READ and (code & 0xFF) in _PASSING


@contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error
