"""Dashboards where they are kept: own ones as files in a folder, and those that come with Tailrace.

Each look compares the folder's list with what was read before, so a file that people or their tools change is seen at once, at the cost
of one listing. A file that cannot be read as a dashboard is told of, hides no other, and is never written over. A save is refused
if the content is no longer that which the caller has seen, and keeps the content that it replaces.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock

from tailrace.dashboard.boards.history import History, Saved
from tailrace.dashboard.boards.model import Dashboard
from tailrace.dashboard.boards.read import BYTES_MAX, read_dashboard, revision_of, written
from tailrace.errors import Conflict, Corrupt, Invalid, NotFound, TailraceError, TooLarge
from tailrace.model.window import iso
from tailrace.runtime.clock import Clock
from tailrace.runtime.files import write_atomic
from tailrace.runtime.storage_errors import translated

LOG = logging.getLogger(__name__)
SHIPPED, OWN = "shipped", "own"
OWN_MAX = 1_000
_Stamp = tuple[int, int, int]


class Changed(Conflict):
    """Somebody else has saved meanwhile; `revision` is what is there now, empty for nothing."""

    def __init__(self, uid: str, revision: str) -> None:
        now = f"is at revision `{revision}` now" if revision else "is not there any more"
        hint = "read it again, and save on top of that"
        super().__init__(f"dashboard `{uid}` {now}: somebody else has changed it", hint=hint)
        self.revision = revision

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {**super().as_json()["error"], "revision": self.revision}}


@dataclass(frozen=True, slots=True)
class Kept:
    """One dashboard. `changed_us`: 0 for one that is shipped. `dashboard`: None where `error` says why."""

    uid: str
    source: str
    revision: str
    changed_us: int
    content: bytes
    dashboard: Dashboard | None
    error: TailraceError | None = None

    @property
    def changed_at(self) -> str | None:
        return iso(self.changed_us) if self.changed_us else None


class DashboardStore:
    """Safe in any thread of one process; one process writes."""

    def __init__(self, folder: Path, history: History, clock: Clock) -> None:
        self._folder = folder
        self._history = history
        self._clock = clock
        self._lock = Lock()
        self._stamps: dict[str, _Stamp] = {}
        self._own: dict[str, Kept] = {}

    def all(self) -> list[Kept]:
        """By uid; an own one in place of the shipped one of that uid. The uid of a file that cannot be read is its name."""
        with self._lock:
            return [kept for _, kept in sorted({**shipped(), **self._look()}.items())]

    def one(self, uid: str) -> Kept:
        """Raises NotFound, or Corrupt for a file that cannot be read as a dashboard."""
        with self._lock:
            return _readable(self._found(uid), self._path(uid))

    def save(
        self, board: Dashboard, *, expected: str | None = None, new: bool = False, author: str = "", auto: bool = False
    ) -> Kept:
        """Durable on return. `expected`: the revision that the caller has seen. `new`: it must not be there yet.

        `auto`: no person pressed a button; see History. Raises Changed, Conflict where a broken file or too many dashboards are in
        the way, and Unavailable if the disk does not take it.
        """
        content = written(board)
        if len(content) > BYTES_MAX:
            raise TooLarge(f"a dashboard has at most {BYTES_MAX:,} bytes", hint="divide it into several")
        with self._lock:
            before = {**shipped(), **self._look()}.get(board.uid)
            self._check(board.uid, before, expected, new)
            if before is not None and before.source == OWN and before.content == content:
                return before
            now_us = self._clock.now_us()
            saved = Saved(board.uid, revision_of(content), now_us, author, auto)
            self._history.saving(saved, before.content if before else None, before.changed_us if before else 0)
            with translated(self._folder):
                write_atomic(self._path(board.uid), content)
            return _readable(self._found(board.uid), self._path(board.uid))

    def remove(self, uid: str, *, expected: str | None = None, author: str = "") -> Kept | None:
        """Remove the own one; what is there now: the shipped one of that uid, or None. Raises NotFound, Changed, Conflict."""
        with self._lock:
            before = self._look().get(uid)
            if before is None and uid in shipped():
                raise Conflict(f"dashboard `{uid}` comes with Tailrace", hint="there is no own copy of it to remove")
            if before is None:
                raise _no_dashboard(uid)
            self._check(uid, before, expected, new=False)
            saved = Saved(uid, "", self._clock.now_us(), author, auto=False)
            self._history.saving(saved, before.content, before.changed_us)
            with translated(self._folder):
                self._path(uid).unlink(missing_ok=True)
            return {**shipped(), **self._look()}.get(uid)

    def _check(self, uid: str, before: Kept | None, expected: str | None, new: bool) -> None:
        if before is not None and before.error is not None:
            raise Conflict(
                f"`{uid}.json` is not a dashboard, and is left as it is: {before.error.message}",
                hint="mend the file, or move it away",
            )
        if expected is not None and (before is None or before.revision != expected):
            raise Changed(uid, before.revision if before else "")
        if new and before is not None:
            raise Changed(uid, before.revision)
        if uid not in self._own and len(self._own) >= OWN_MAX:
            raise Conflict(f"there are `{OWN_MAX:,}` dashboards, as many as can be", hint="remove one first")

    def _found(self, uid: str) -> Kept:
        kept = {**shipped(), **self._look()}.get(uid)
        if kept is None:
            raise _no_dashboard(uid)
        return kept

    def _path(self, uid: str) -> Path:
        return self._folder / f"{uid}.json"

    def _look(self) -> Mapping[str, Kept]:
        """The own ones, each file read again if it is another one now."""
        stamps = _stamps(self._folder)
        for uid in self._own.keys() - stamps.keys():
            del self._own[uid]
        for uid, stamp in stamps.items():
            if stamp != self._stamps.get(uid):
                kept = _read_file(self._path(uid), uid)
                if kept is None:
                    self._own.pop(uid, None)
                    continue
                self._own[uid] = kept
                if kept.error is not None:
                    LOG.error("dashboard %s.json cannot be used: %s (%s)", uid, kept.error.message, kept.error.hint)
        self._stamps = stamps
        return self._own


@cache
def shipped() -> Mapping[str, Kept]:
    """Those that come with Tailrace, by uid."""
    folder = resources.files("tailrace.dashboard.boards").joinpath("shipped")
    found = {}
    for file in folder.iterdir():
        content = file.read_bytes()
        board = read_dashboard(content)
        found[board.uid] = Kept(board.uid, SHIPPED, revision_of(content), 0, content, board)
    return found


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """Time of change, size and number of each regular `*.json` file, by its name without that; an absent folder has none."""
    found: dict[str, _Stamp] = {}
    if folder.is_dir():
        for path in folder.glob("*.json"):
            if path.name.startswith("."):
                continue
            try:
                known = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(known.st_mode):  # a pipe would be waited for without end
                found[path.stem] = (known.st_mtime_ns, known.st_size, known.st_ino)
    return found


def _read_file(path: Path, uid: str) -> Kept | None:
    """None if it has gone since it was listed."""
    try:
        changed_us = path.stat().st_mtime_ns // 1_000
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        wrong = Invalid(f"the file cannot be read: {error.strerror or error}", hint="check who may read it")
        return Kept(uid, OWN, "", 0, b"", None, wrong)
    revision = revision_of(content)
    try:
        board = read_dashboard(content)
        if board.uid != uid:
            raise Invalid(f"`uid`: `{board.uid}` is not the file's name", hint=f"call the file {board.uid}.json")
    except TailraceError as error:
        return Kept(uid, OWN, revision, changed_us, content, None, error)
    return Kept(uid, OWN, revision, changed_us, content, board)


def _readable(kept: Kept, path: Path) -> Kept:
    if kept.error is not None:
        raise Corrupt(str(path.name), kept.error.message, hint=kept.error.hint)
    return kept


def _no_dashboard(uid: str) -> NotFound:
    return NotFound(f"there is no dashboard `{uid}`", hint="see: tailrace dashboards list")
