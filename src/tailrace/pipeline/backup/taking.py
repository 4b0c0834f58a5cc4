"""Take a backup, of a node that runs or of one that does not."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tailrace import __version__
from tailrace.config.settings import Settings
from tailrace.errors import Invalid, NotFound, Unavailable
from tailrace.model.window import iso
from tailrace.pipeline.backup.places import Place, Written
from tailrace.pipeline.backup.plan import SHARDS_FILE, Item, copy_database, held_items, stream_items, view_items
from tailrace.pipeline.lock import is_alive
from tailrace.pipeline.run_file import read_run_file
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.states.manifest import ManifestStore

INDEX = "backup.json"
"""Written last: a place without it holds no whole backup."""
HOLD_S = 60
RENEW_S = 10.0
STAND_STILL_S_MAX = 120.0
ATTEMPTS_MAX = 5

Told = Callable[[Written], None]


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `stream`: the stream's name, which is its folder's."""

    version: str
    taken_at: str
    stream: str
    files: list[Written]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def take(settings: Settings, place: Place, clock: Clock, told: Told = lambda written: None) -> Index:
    """Copy the data folder to `place`, and say what was copied. `told` of each file as it is done.

    Raises NotFound (no data there), Invalid (the place holds a backup), Unavailable (batch does not stand still, or the place cannot be
    written): then what was copied is no backup, as it has no index.
    """
    if not settings.stream_dir.exists():
        raise NotFound(f"there is no data in `{settings.data_dir}`", hint="name the folder with --data")
    if place.exists(INDEX):
        raise Invalid(f"`{place.target}` holds a backup already", hint="give each backup a place of its own")
    taken_at = iso(clock.now_us() // 1000 * 1000)
    with _holding(settings, clock):
        written = [_copy(item, place, told) for item in held_items(settings)]
        written += _copy_stream(settings, place, told)
    written += [_copy(item, place, told) for item in view_items(settings)]
    index = Index(version=__version__, taken_at=taken_at, stream=settings.stream.name, files=written)
    place.write(INDEX, msgspec.json.format(msgspec.json.encode(index), indent=1))
    return index


def read_index(place: Place) -> Index:
    """Raises NotFound if the place holds no whole backup."""
    try:
        return msgspec.json.decode(place.read(INDEX), type=Index)
    except UNREADABLE as error:
        raise NotFound(f"`{INDEX}` in `{place.target}` is not that of a backup: {error}") from error


def _copy_stream(settings: Settings, place: Place, told: Told) -> list[Written]:
    """Shards and their list, which must be the same before and after: a split in between begins the copy of the stream again."""
    layout = settings.stream_dir / SHARDS_FILE
    for _ in range(ATTEMPTS_MAX):
        before = layout.read_bytes()
        written = [_copy(item, place, told) for item in stream_items(settings)]
        if layout.read_bytes() == before:
            path = layout.relative_to(settings.data_dir).as_posix()
            return [*written, _copy(Item(layout, path, database=False), place, told)]
    raise Unavailable("shards are split or merged all the time", hint="take the backup again later")


def _copy(item: Item, place: Place, told: Told) -> Written:
    if not item.database:
        written = place.put(item.source, item.path)
    else:
        with tempfile.TemporaryDirectory(prefix="tailrace-backup-") as folder:
            copied = Path(folder) / item.source.name
            copy_database(item.source, copied)
            written = place.put(copied, item.path)
    told(written)
    return written


@contextmanager
def _holding(settings: Settings, clock: Clock) -> Iterator[None]:
    """The batch process stands still while this lasts; if it does not run, nobody writes what it writes."""
    store, hold_id = ManifestStore(settings.manifest_path), unique_id()
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_S):
            store.hold(hold_id, clock.now_us() + HOLD_S * 1_000_000)

    store.hold(hold_id, clock.now_us() + HOLD_S * 1_000_000)
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        deadline_s = clock.monotonic_s() + STAND_STILL_S_MAX
        while _runs(settings) and not store.hold_is_kept(hold_id):
            if clock.monotonic_s() > deadline_s:
                raise Unavailable(
                    "the batch process does not pause",
                    hint=f"see batch.log in {settings.run_dir}, or stop the node first",
                )
            clock.sleep(0.1)
        yield
    finally:
        done.set()
        renewing.join()
        store.release(hold_id)


def _runs(settings: Settings) -> bool:
    running = read_run_file(settings.run_dir)
    return running is not None and is_alive(running.pid)
