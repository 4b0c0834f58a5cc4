"""Reads and writes of a lake's metadata on local disk: a file that has been closed is on disk, name and all.

pyiceberg writes manifests, lists and table metadata through this, so that a commit in the catalog never names a file that a
power loss could still take away. Locations are absolute in Iceberg's metadata; only what follows the warehouse's name counts
here, so a data folder may be moved.

Each file has one beside it, `.NAME.crc`, with the CRC-32 of its bytes in hex, compared at every read; files older than this have
none. Neither JSON nor Avro would tell a flipped digit from a right one.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import IO, Any, Self

from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.typedef import EMPTY_DICT, Properties

from tailrace.errors import Corrupt, InternalError
from tailrace.runtime.files import make_folder, write_atomic

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


def checksum_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc")


def remove(path: Path) -> None:
    """A metadata file and its checksum; no matter if they are gone."""
    path.unlink(missing_ok=True)
    checksum_path(path).unlink(missing_ok=True)


def read_checked(path: Path) -> bytes:
    """Raises Corrupt unless the bytes are those written."""
    data = path.read_bytes()
    try:
        wanted = checksum_path(path).read_text(errors="replace").strip()
    except FileNotFoundError:
        return data
    if f"{zlib.crc32(data):08x}" != wanted:
        raise Corrupt(str(path), "its checksum does not match its bytes")
    return data


class DurableFile:
    """A file for writing that is synced, with its checksum and its folder, when it is closed."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path = path
        make_folder(path.parent)
        self._file: IO[bytes] = path.open("wb" if overwrite else "xb")
        self._checksum = 0

    def write(self, data: bytes) -> int:
        self._checksum = zlib.crc32(data, self._checksum)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # Its folder is synced with it, and the name of the file above.
        write_atomic(checksum_path(self._path), f"{self._checksum:08x}\n".encode())

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
        if checksum_path(self._path).exists():
            return io.BytesIO(read_checked(self._path))
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
        path = local_path(name, self._warehouse)
        path.unlink()
        checksum_path(path).unlink(missing_ok=True)


FILE_IO = f"{LocalFileIO.__module__}.{LocalFileIO.__qualname__}"
