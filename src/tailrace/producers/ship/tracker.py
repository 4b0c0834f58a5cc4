"""Which files there are, and which of them is the one that was read before: over rename, copy and truncate, and compression.

A file is known by device and inode as long as its first bytes are the same, else by all that was read of it. `base` is the path
that was asked for; rotation puts earlier files aside, beside it, under names like its own (`names`).
"""

from __future__ import annotations

import glob
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from itertools import islice, takewhile
from pathlib import Path

from tailrace.errors import Unavailable
from tailrace.producers.ship.journal import FileRow
from tailrace.producers.ship.names import bases_of, is_put_aside
from tailrace.producers.ship.source import HEAD_BYTES, Inode, Source, first_after_hole
from tailrace.producers.ship.tailed import NOT_OURS, Tailed
from tailrace.runtime.clock import Clock

LIST_S = 1.0
"""How often patterns are looked up anew."""
RESTING_A_SCAN = 100
"""Files that rest and are looked at in one scan."""
LOOK_BESIDE_S = 5.0
HOMELESS_S = 10.0
ROWS_KEPT = 50
"""Of each base; what is put aside is still known when it is compressed."""
_SEARCH_BYTES = 1 << 16

Tell = Callable[[str], None]


class Tracker:
    """`tailed`: all files known, in the order in which they were found. `forgotten`: ids of rows to be deleted. `unreadable`: paths that
    were asked for and could not be opened at the last look, and why."""

    def __init__(
        self, patterns: Sequence[str], rows: Sequence[FileRow], clock: Clock, tell: Tell, *, from_end: bool
    ) -> None:
        now_s = clock.monotonic_s()
        self.tailed = [Tailed(row, homeless=row.offset != NOT_OURS, quiet_since_s=now_s) for row in rows]
        self.forgotten: list[int] = []
        self.unreadable: dict[str, str] = {}
        self._patterns = [os.path.abspath(os.path.expanduser(pattern)) for pattern in patterns]
        self._clock, self._tell = clock, tell
        self._from_end = from_end
        self._next_id = max((row.id for row in rows), default=0) + 1
        self._live: dict[str, Tailed] = {}
        self._looked: dict[str, tuple[int, float]] = {}
        self._known_bases = {row.base for row in rows}
        self._first = True
        self._listed_s = float("-inf")
        self._bases: list[str] = []
        self._wanted: set[str] = set()
        self._names: dict[str, list[str]] = {}
        self._folders: dict[str, int] = {}
        self._turn = 0
        self._by_inode: dict[Inode, Tailed] = {}
        self._by_base: dict[str, list[Tailed]] = {}

    def scan(self) -> None:
        """Look at all paths anew. What cannot be opened is told once a while and tried again."""
        now_s = self._clock.monotonic_s()
        if now_s - self._listed_s >= LIST_S:
            self._listed_s, (self._bases, self._wanted) = now_s, self._list()
        self._names = {}
        self._by_inode = {each.inode: each for each in self.tailed}
        self._by_base = {}
        for each in self.tailed:
            self._by_base.setdefault(each.row.base, []).append(each)
        self._folders = {}
        for base in self._due():
            moved = self._look_at(base)
            if moved or self._beside_is_due(base):
                self._look_beside(base)
        self._first = False

    def _due(self) -> list[str]:
        """All paths but those whose file rests; of them some in turn, so that all of a thousand are looked at within two seconds."""
        resting = [base for base in self._bases if (each := self._live.get(base)) is not None and each.resting]
        if len(resting) <= RESTING_A_SCAN:
            return self._bases
        first = self._turn % len(resting)
        self._turn = first + RESTING_A_SCAN
        passed = set(resting) - set((resting + resting)[first : first + RESTING_A_SCAN])
        return [base for base in self._bases if base not in passed]

    def _list(self) -> tuple[list[str], set[str]]:
        """(paths to follow, paths asked for that rotation has put aside)."""
        found: dict[str, None] = {}
        for pattern in self._patterns:
            if glob.has_magic(pattern) and not os.path.exists(pattern):
                found.update(dict.fromkeys(p for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)))
            else:
                found[pattern] = None
        for base in self._known_bases - found.keys():
            if any(fnmatch(base, pattern) for pattern in self._patterns):
                found[base] = None
        known = {*found, *self._known_bases}
        wanted = {path for path in found if path not in self._known_bases and _is_aside_of_any(path, known)}
        return [path for path in found if path not in wanted], wanted

    # -- the path that was asked for ---------------------------------------------------------------------------------

    def _look_at(self, base: str) -> bool:
        """Follow `base`. True if its file is another than before."""
        try:
            found = os.stat(base)
        except OSError:
            return self._put_aside(base)
        current = self._live.get(base)
        moved = False
        if current is not None:
            if current.inode == Inode(found.st_dev, found.st_ino):
                still = current.stands_still(found.st_size, found.st_mtime_ns, self._clock.monotonic_s())
                if still or not current.truncated():
                    return False
                self._displace(current)
            moved = self._put_aside(base)
        try:
            self._follow(base, Source(Path(base)))
            self.unreadable.pop(base, None)
        except (OSError, Unavailable) as error:
            self.unreadable[base] = str(error)
            self._tell(f"{base} cannot be read: {error}")
        return moved or current is None

    def _put_aside(self, base: str) -> bool:
        current = self._live.pop(base, None)
        if current is None:
            return False
        current.row, current.resting = replace(current.row, aside=True), False
        current.quiet_since_s = self._clock.monotonic_s()
        return True

    def _displace(self, each: Tailed) -> None:
        """Its bytes are gone from where they were."""
        each.close()
        each.homeless, each.quiet_since_s = each.ours, self._clock.monotonic_s()
        self._by_inode.pop(each.inode, None)
        each.row = replace(each.row, device=0, inode=0)

    def _follow(self, base: str, source: Source) -> None:
        inode = source.inode
        known = self._by_inode.get(inode)
        if known is not None and not known.holds_same(source):
            self._displace(known)
            known = None
        if known is None:
            known = self._add(base, source, self._start(base, source), aside=False)
            self._tell(f"{base}: from byte {known.row.offset:,}" if known.row.offset else f"{base}: from its beginning")
        elif known.ours:
            known.at(source)
            known.row = replace(known.row, base=base, aside=False)
        else:
            source.close()
        self._live[base] = known

    def _start(self, base: str, source: Source) -> int:
        if not (self._from_end and self._first and base not in self._known_bases):
            return first_after_hole(source)
        if source.gz:
            return NOT_OURS
        size = source.stored_bytes
        low = max(0, size - _SEARCH_BYTES)
        return low + source.read(low, size - low).rfind(b"\n") + 1

    def _add(self, base: str, source: Source, offset: int, *, aside: bool) -> Tailed:
        inode, start = source.inode, max(offset, 0)
        head = source.read(0, HEAD_BYTES)
        row = FileRow(
            self._next_id, base, str(source.path), inode.device, inode.number, head, b"", offset, 0, start, aside,
        )  # fmt: skip
        self._next_id += 1
        added = Tailed(row, quiet_since_s=self._clock.monotonic_s())
        self.tailed.append(added)
        self._by_inode[inode] = added
        self._by_base.setdefault(base, []).append(added)
        if offset == NOT_OURS:
            source.close()
        else:
            added.at(source)
        return added

    # -- what rotation has put aside ---------------------------------------------------------------------------------

    def _beside_is_due(self, base: str) -> bool:
        """When names in the folder have changed, else every few seconds."""
        folder = os.path.dirname(base)
        if folder not in self._folders:
            try:
                self._folders[folder] = os.stat(folder).st_mtime_ns
            except OSError:
                return False
        changed_ns = self._folders[folder]
        seen_ns, looked_s = self._looked.get(base, (0, float("-inf")))
        return changed_ns != seen_ns or self._clock.monotonic_s() - looked_s >= LOOK_BESIDE_S

    def _look_beside(self, base: str) -> None:
        """Say of each file that rotation has put aside which it is. What is there at the first look was not asked for."""
        folder, name = os.path.split(base)
        try:
            changed_ns = os.stat(folder).st_mtime_ns
            paths = [os.path.join(folder, each) for each in self._beside(folder, name)]
            beside = sorted((os.stat(path).st_mtime_ns, path) for path in paths if os.path.isfile(path))
        except OSError:  # a rotation is on
            return
        whole = True
        for _, path in beside:
            try:
                whole &= self._place(base, Path(path))
                self.unreadable.pop(path, None)
            except (OSError, Unavailable) as error:
                whole = False
                if path in self._wanted:
                    self.unreadable[path] = str(error)
        self._looked[base] = (changed_ns if whole else 0, self._clock.monotonic_s())
        if whole:
            self._known_bases.add(base)
            self._forget(base, {path for _, path in beside})

    def _beside(self, folder: str, name: str) -> list[str]:
        """Names that rotation may have given to what was `name`. A folder is listed once in a scan."""
        if folder not in self._names:
            self._names[folder] = sorted(os.listdir(folder))
        names, stem = self._names[folder], name.rpartition(".")[0] or name
        first = bisect_left(names, stem)
        return [
            each
            for each in takewhile(lambda each: each.startswith(stem), islice(names, first, None))
            if is_put_aside(each, name)
        ]

    def _place(self, base: str, path: Path) -> bool:
        """Say what file this is. False if that cannot be said yet."""
        found = path.stat()
        inode = Inode(found.st_dev, found.st_ino)
        known = self._by_inode.get(inode)
        if known is not None and known.source is not None:
            known.seen_at(str(path))
            if not known.truncated():
                return True
            known.close()  # another was written over what was put aside
        source = Source(path)
        try:
            return self._identify(base, source, known, wanted=str(path) in self._wanted)
        finally:
            if not source.kept:
                source.close()

    def _identify(self, base: str, source: Source, known: Tailed | None, *, wanted: bool) -> bool:
        if known is not None and known.holds_same(source):
            known.seen_at(str(source.path))
            if known.ours and (known.homeless or (source.gz is False and source.stored_bytes > known.row.offset)):
                known.at(source)
                known.row = replace(known.row, aside=True)
            return True
        if known is not None:  # its number was given to another file
            self._by_inode.pop(known.inode, None)
            known.row = replace(known.row, device=0, inode=0)
        head = source.read(0, HEAD_BYTES)
        if not head:
            return False
        kin = [each for each in self._by_base.get(base, []) if _same_beginning(each.row.head, head)]
        for each in kin:
            if each.homeless and (each.is_copied_by(source) or _is_short_copy(each, source)):
                self._by_inode.pop(each.inode, None)
                each.at(source)
                each.row = replace(each.row, aside=True)
                each.quiet_since_s = self._clock.monotonic_s()
                self._by_inode[source.inode] = each
                self._tell(f"{base} goes on in {source.path.name}")
                return True
        live = self._live.get(base)
        if live is not None and live in kin and _agree(live, source):
            return False  # a copy that is being made; it is settled once the file is truncated
        if any(_is_known_copy(each, source) for each in kin):
            self._add(base, source, NOT_OURS, aside=True)
            return True
        if base in self._known_bases or (wanted and not (self._first and self._from_end)):
            self._add(base, source, 0, aside=True)
            self._tell(f"{source.path}: from its beginning")
        else:
            self._add(base, source, NOT_OURS, aside=True)
        return True

    def give_up(self, needed: set[int]) -> list[Tailed]:
        """Files that were not found again for a while, told apart from those that will be. `needed`: ids with posts on the way."""
        now_s = self._clock.monotonic_s()
        gone = [each for each in self.tailed if each.homeless and now_s - each.quiet_since_s >= HOMELESS_S]
        for each in gone:
            each.homeless = False
            if each.row.id not in needed and not each.row.aside:
                self._tell(f"{each.row.path} is gone; what was not read of it by then cannot be sent")
        return gone

    def _forget(self, base: str, beside: set[str]) -> None:
        """Keep the newest rows of a base, and those of files that are there."""
        for each in self._by_base.get(base, [])[:-ROWS_KEPT]:
            if each.source is None and not each.homeless and each.row.path not in beside:
                self.tailed.remove(each)
                self.forgotten.append(each.row.id)


def _is_aside_of_any(path: str, known: set[str]) -> bool:
    folder, name = os.path.split(path)
    return any(os.path.join(folder, base) in known for base in bases_of(name))


def _same_beginning(one: bytes, other: bytes) -> bool:
    size = min(len(one), len(other))
    return size > 0 and one[:size] == other[:size]


def _agree(live: Tailed, source: Source) -> bool:
    """Whether `source` may be a copy of the beginning of the file that is followed."""
    if live.source is None or source.gz:
        return False
    size = min(live.source.stored_bytes, source.stored_bytes)
    start = max(0, size - HEAD_BYTES)
    return live.source.read(start, size - start) == source.read(start, size - start)


def _is_known_copy(each: Tailed, source: Source) -> bool:
    """Of a file that is not to be read, only its beginning is known."""
    return each.is_copied_by(source) if each.ours else len(each.row.head) == HEAD_BYTES or each.holds_same(source)


def _is_short_copy(each: Tailed, source: Source) -> bool:
    """A copy that was made before the last bytes came, which were read from the file itself."""
    return (
        not source.gz
        and source.stored_bytes < each.row.offset
        and each.row.head[: source.stored_bytes] == source.read(0, len(each.row.head))
    )
