"""`shards.json`: which shards a stream has, and which split or merge has been begun. Replaced whole, under the layout's lock.

Every process looks at it often and reads it again when it has changed, so that a new shard is known everywhere without a word.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from tailrace.errors import Corrupt
from tailrace.model.shard import Shard
from tailrace.runtime.files import write_atomic
from tailrace.stream.resharding import Reshard, uncovered

SHARDS_FILE = "shards.json"
LOCK_FILE = ".lock"
VERSION = 2
"""1 had neither epochs of shards nor `pending`. Both may be without `checksum`, as they were at first."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All shards, by index. `pending`: a split or merge that has been begun; whoever finds it without its maker finishes it."""

    shards: tuple[Shard, ...]
    pending: Reshard | None = None

    def encoded(self) -> bytes:
        document: dict[str, Any] = {"version": VERSION, "shards": [_row(s) for s in self.shards]}
        if self.pending is not None:
            document["pending"] = {
                "close": [p.index for p in self.pending.parents],
                "open": [_row(c) for c in self.pending.children],
            }
        document["checksum"] = _checksum(document)
        return json.dumps(document, indent=1).encode()


class LayoutFile:
    """`shards.json` of one stream, as one process knows it. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SHARDS_FILE
        self.lock_path = folder / LOCK_FILE
        self._lock = Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._layout = Layout(())

    def current(self) -> Layout:
        """As it stands now; the same object until it changes. Costs one look at the file's name. Raises Corrupt, OSError."""
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            with self._lock:
                # The stamp is taken first: content that is newer than its stamp is only read once more.
                stamp = _stamp(self.path)
                if stamp != self._stamp:
                    self._layout = decoded(self.path.read_bytes(), self.path)
                    self._stamp = stamp
        return self._layout

    def write(self, layout: Layout) -> None:
        """Replace it; on disk when this returns. The caller holds the lock at `lock_path`."""
        write_atomic(self.path, layout.encoded())


def _stamp(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def decoded(content: bytes, path: Path) -> Layout:
    """Raises Corrupt unless the shards are listed well, and each hash key has exactly one that is open."""
    try:
        document = json.loads(content)
        if "checksum" in document and document["checksum"] != _checksum(document):
            raise Corrupt(str(path), "its checksum does not match its shards")
        if document["version"] not in (1, VERSION):
            raise Corrupt(
                str(path), f"version `{document['version']}` is not known", hint="it may come from a newer Tailrace"
            )
        shards = tuple(_shard(row) for row in document["shards"])
        pending = document.get("pending")
        reshard = None
        if pending is not None:
            known = {s.index: s for s in shards}
            parents = tuple(known[index] for index in pending["close"])
            reshard = Reshard(parents, tuple(_shard(row) for row in pending["open"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(str(path), f"it is not a list of shards: {error}") from error
    key = uncovered(shards)
    if key is not None:
        raise Corrupt(str(path), f"hash key `{key}` does not belong to exactly one open shard")
    return Layout(shards, reshard)


def _checksum(document: Mapping[str, Any]) -> int:
    """CRC-32 of the shards, and of what is pending if something is, each as JSON without blanks."""
    parts = [document["shards"], *([document["pending"]] if "pending" in document else [])]
    return zlib.crc32(b"".join(json.dumps(p, separators=(",", ":"), sort_keys=True).encode() for p in parts))


def _row(shard: Shard) -> dict[str, Any]:
    return {
        "index": shard.index,
        "hash_first": str(shard.hash_first),
        "hash_last": str(shard.hash_last),
        "created_s": shard.created_s,
        "parents": list(shard.parents),
        "closed": shard.closed,
        "first_epoch": shard.first_epoch,
        "last_epoch": shard.last_epoch,
    }


def _shard(row: Mapping[str, Any]) -> Shard:
    numbers = [row[name] for name in ("index", "created_s", "first_epoch", "last_epoch") if row.get(name) is not None]
    if not all(isinstance(each, int) and each >= 0 for each in numbers):
        raise TypeError(f"`{row}` has a number that is none")
    return Shard(
        row["index"],
        int(row["hash_first"]),
        int(row["hash_last"]),
        row["created_s"],
        tuple(row["parents"]),
        bool(row["closed"]),
        row.get("first_epoch", 1),
        row.get("last_epoch"),
    )
