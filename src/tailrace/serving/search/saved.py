"""Saved searches: one JSON file each, in a folder that may be kept under version control and filled before the start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import Invalid, NotFound
from tailrace.runtime.files import make_folder, write_atomic
from tailrace.runtime.unreadable import UNREADABLE

FILE_BYTES_MAX = 1 << 18
SEARCHES_MAX = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class SavedSearch(msgspec.Struct, forbid_unknown_fields=True):
    """`name`: of the file, without .json. `title`: for people. `range`: a relative time range such as 1h, or none."""

    name: str = ""
    title: str = ""
    query: str = ""
    sql: str | None = None
    columns: list[str] = []
    group_by: str | None = None
    range: str | None = None


class SavedSearches:
    """The folder is read at each call: files may be changed by hand at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> tuple[list[SavedSearch], list[dict[str, Any]]]:
        """Searches by name, and what is wrong with the files that are none."""
        found, problems = [], []
        paths = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        for path in paths[:SEARCHES_MAX]:
            try:
                found.append(_read(path))
            except Invalid as error:
                problems.append({"file": path.name, "message": error.message, "hint": error.hint})
        return found, problems

    def get(self, name: str) -> SavedSearch:
        path = self._path(name)
        if not path.is_file():
            raise NotFound(f"there is no saved search `{name}`", hint="list them: tailrace searches list")
        return _read(path)

    def put(self, search: SavedSearch) -> SavedSearch:
        """Write it whole, or not at all. Raises Invalid for a name that is none."""
        path = self._path(search.name)
        make_folder(self._folder)
        text = msgspec.json.format(msgspec.json.encode(search), indent=2) + b"\n"
        if len(text) > FILE_BYTES_MAX:
            raise Invalid("the search is too long to be saved", hint="shorten it")
        write_atomic(path, text)
        return search

    def remove(self, name: str) -> None:
        """Raises NotFound."""
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise NotFound(f"there is no saved search `{name}`", hint="it may have been removed already") from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Invalid(f"`{name[:100]}` cannot be the name of a search", hint="use letters, digits, _ and -")
        return self._folder / f"{name}.json"


def _read(path: Path) -> SavedSearch:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Invalid("it is too long", hint="shorten it")
        search = msgspec.json.decode(path.read_bytes(), type=SavedSearch)
    except (OSError, *UNREADABLE) as error:
        raise Invalid(f"`{path.name}` is no saved search: {error}", hint="see docs/explore.md") from error
    search.name = path.stem
    return search
