"""Where a backup may lie: a folder, or a bucket of an object store. One way to read and write both."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from tailrace.errors import Invalid, NotFound, Unavailable
from tailrace.runtime.files import sync_folder

_CHUNK = 4 << 20
_USER = re.compile(r"(\w+://)[^/]*@")


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it was copied. `sha256`: of its bytes, in hex."""

    path: str
    bytes: int
    sha256: str


class Place:
    """Files below `root`, by relative paths with `/`."""

    def __init__(self, target: str, endpoint_url: str | None = None) -> None:
        """`target`: a folder, or `s3://bucket/prefix`; credentials come from the environment, as everywhere on AWS.

        Raises Invalid for what is neither, and for an address that holds credentials: it is shown in messages and lists of processes.
        """
        _check_no_secret(target, endpoint_url)
        self.target = target
        try:
            self._files, self._root = _open(target, endpoint_url)
        except (OSError, pa.ArrowException) as error:
            raise Invalid(f"`{target}` is no place for a backup: {error}", hint=_HINT) from error
        self._local = isinstance(self._files, pafs.LocalFileSystem)
        self._hint = "check the path, the room and the rights" if self._local else _S3_HINT

    def exists(self, path: str) -> bool:
        with _translated(self.target, self._hint):
            return bool(self._files.get_file_info(self._at(path)).type == pafs.FileType.File)

    def read(self, path: str) -> bytes:
        """Raises NotFound."""
        with _translated(self.target, self._hint):
            if not self.exists(path):
                raise NotFound(f"there is no `{path}` in `{self.target}`", hint="is it a backup that was finished?")
            with self._files.open_input_stream(self._at(path)) as source:
                data: bytes = source.read()
                return data

    def write(self, path: str, data: bytes) -> None:
        with _translated(self.target, self._hint):
            self._make_folder(path)
            with self._files.open_output_stream(self._at(path)) as sink:
                sink.write(data)
            self._sync(path)

    def put(self, source: Path, path: str) -> Written:
        """Copy a local file here; durable on return where that is in our hands."""
        digest, size = hashlib.sha256(), 0
        with _translated(self.target, self._hint):
            self._make_folder(path)
            with source.open("rb") as file, self._files.open_output_stream(self._at(path)) as sink:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    sink.write(chunk)
            self._sync(path)
        return Written(path, size, digest.hexdigest())

    def chunks(self, path: str) -> Iterator[bytes]:
        with _translated(self.target, self._hint), self._files.open_input_stream(self._at(path)) as source:
            while chunk := source.read(_CHUNK):
                yield chunk

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _make_folder(self, path: str) -> None:
        if self._local:
            self._files.create_dir(os.path.dirname(self._at(path)), recursive=True)

    def _sync(self, path: str) -> None:
        if not self._local:
            return
        handle = os.open(self._at(path), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(Path(self._at(path)).parent)


_S3_HINT = "check the bucket, --endpoint-url, and the credentials in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION"
_HINT = "give a folder, or s3://bucket/prefix (with --endpoint-url for a server of your own)"


def _check_no_secret(target: str, endpoint_url: str | None) -> None:
    for address in (target, endpoint_url or ""):
        if _USER.match(address):
            shown = _USER.sub(r"\1***@", address)
            raise Invalid(
                f"`{shown}` holds credentials",
                hint="give them in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
            )


def _open(target: str, endpoint_url: str | None) -> tuple[pafs.FileSystem, str]:
    if target.startswith("s3://"):
        endpoint = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        root = target.removeprefix("s3://").strip("/")
        if not root:
            raise Invalid(f"`{target}` names no bucket", hint=_HINT)
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise Invalid(f"`{endpoint}` is no endpoint", hint="write it as http://HOST:PORT or https://HOST")
        if endpoint:
            return pafs.S3FileSystem(endpoint_override=endpoint), root
        return pafs.S3FileSystem(), root
    if "://" in target:
        raise Invalid(f"`{target}` is no place for a backup", hint=_HINT)
    return pafs.LocalFileSystem(), str(Path(target).absolute())


class _translated:
    """Turns what a file system raises into Unavailable."""

    def __init__(self, target: str, hint: str) -> None:
        self._target = target
        self._hint = hint

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | pa.ArrowException):
            raise Unavailable(f"`{self._target}` cannot be read or written: {error}", hint=self._hint) from error
