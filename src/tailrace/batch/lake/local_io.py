"""Reads and writes of a lake's metadata on local disk: a file that has been closed is on disk, name and all.

pyiceberg writes manifests, lists and table metadata through this, so that a commit in the catalog never names a file that a
power loss could still take away. Locations are absolute in Iceberg's metadata; only what follows the warehouse's name counts
here, so a data folder may be moved.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, Self

from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.typedef import EMPTY_DICT, Properties

from tailrace.errors import InternalError
from tailrace.runtime.files import make_folder, sync_folder

WAREHOUSE = "warehouse"
ROOT_PROPERTY = "tailrace.warehouse-folder"


def location_of(path: Path) -> str:
    """The URI under which Iceberg knows a local file."""
    return f"file://{path}"


def local_path(location: str, warehouse: Path) -> Path:
    """Where `location` is now, whatever folder the warehouse was in when the location was written."""
    head, mark, tail = location.rpartition(f"/{WAREHOUSE}/")
    if not mark or not head or ".." in tail.split("/"):
        raise InternalError(f"`{location}` is not in the lake's warehouse")
    return warehouse / tail


class DurableFile:
    """A file for writing that is synced, with its folder, when it is closed."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path = path
        make_folder(path.parent)
        self._file: IO[bytes] = path.open("wb" if overwrite else "xb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        sync_folder(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LocalInput(InputFile):
    def __init__(self, location: str, path: Path) -> None:
        super().__init__(location)
        self._path = path

    def __len__(self) -> int:
        return self._path.stat().st_size

    def exists(self) -> bool:
        return self._path.exists()

    def open(self, seekable: bool = True) -> Any:
        return self._path.open("rb")


class _LocalOutput(OutputFile):
    def __init__(self, location: str, path: Path) -> None:
        super().__init__(location)
        self._path = path

    def __len__(self) -> int:
        return self._path.stat().st_size

    def exists(self) -> bool:
        return self._path.exists()

    def to_input_file(self) -> InputFile:
        return _LocalInput(self.location, self._path)

    def create(self, overwrite: bool = False) -> DurableFile:
        return DurableFile(self._path, overwrite=overwrite)


class LocalFileIO(FileIO):
    """pyiceberg makes it by name, from the catalog's properties (`ROOT_PROPERTY` must be among them)."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._warehouse = Path(properties[ROOT_PROPERTY])

    def new_input(self, location: str) -> InputFile:
        return _LocalInput(location, local_path(location, self._warehouse))

    def new_output(self, location: str) -> OutputFile:
        return _LocalOutput(location, local_path(location, self._warehouse))

    def delete(self, location: str | InputFile | OutputFile) -> None:
        name = location if isinstance(location, str) else location.location
        local_path(name, self._warehouse).unlink()


FILE_IO = f"{LocalFileIO.__module__}.{LocalFileIO.__qualname__}"
