"""Put a backup back: into an empty folder, every byte checked, so that a node started on it goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from tailrace.errors import Corrupt, Invalid
from tailrace.pipeline.backup.places import Place, Written
from tailrace.pipeline.backup.plan import VIEWS
from tailrace.pipeline.backup.taking import INDEX, Index, read_index
from tailrace.runtime.files import make_folder, sync_folder


def restore(
    place: Place, data_dir: Path, views_dir: Path, told: Callable[[Written], None] = lambda written: None
) -> Index:
    """Copy the backup in `place` to `data_dir`, and its view files to `views_dir` (one that is there already and differs is an error).

    Raises NotFound (no whole backup there), Invalid (the folder is not empty), Corrupt (a file is not as it was backed up).
    """
    index = read_index(place)
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Invalid(f"`{data_dir}` is not empty", hint="restore into a folder of its own: --data DIR")
    data = [file for file in index.files if not file.path.startswith(f"{VIEWS}/")]
    views = {views_dir / Path(file.path).name: file for file in index.files if file.path.startswith(f"{VIEWS}/")}
    for target, file in views.items():
        _check_free(target, file)
    targets = {_below(data_dir, file.path): file for file in data}
    for target, file in (targets | {t: f for t, f in views.items() if not t.exists()}).items():
        _fetch(place, file, target)
        told(file)
    return index


def _below(folder: Path, path: str) -> Path:
    """Raises Corrupt for a path that leads elsewhere: an index is read from outside."""
    try:
        target = (folder / path).resolve()
    except (ValueError, OSError) as error:
        raise Corrupt(INDEX, f"it names a file that there cannot be: {error}", hint="use another backup") from error
    if not target.is_relative_to(folder.resolve()):
        raise Corrupt(path, "the backup's index names a file outside of it")
    return target


def _check_free(target: Path, file: Written) -> None:
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() != file.sha256:
        raise Invalid(
            f"`{target}` is there and differs from the backup's", hint="move it away, or name another --views"
        )


def _fetch(place: Place, file: Written, target: Path) -> None:
    """Durable on return. Raises Corrupt if its bytes are not those that were copied."""
    make_folder(target.parent)
    digest = hashlib.sha256()
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("wb") as sink:
        for chunk in place.chunks(file.path):
            digest.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    if digest.hexdigest() != file.sha256:
        temporary.unlink()
        raise Corrupt(f"{place.target}/{file.path}", "it is not as it was backed up", hint="use another backup")
    temporary.replace(target)
    sync_folder(target.parent)
