"""A disk as a trace leaves it: what is certainly on it, what may be, and every folder that a power cut could leave behind.

The rules are those of POSIX at their hardest. A write is certain once a sync of its file has been completed that began after
it; until then each of its sectors may be there or not, whatever came later. A name is certain once its folder has been synced. What
a failed sync was to cover is lost, though it can still be read: the kernel has marked it clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tailrace.testing.syscalls import Event, Kind

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a file's bytes: `data` at `at`, or a new size `at` where `data` is None."""

    at: int
    data: bytes | None
    ended: int

    def torn(self, sectors: int) -> Change:
        """The first `sectors` of the sectors it touches."""
        assert self.data is not None, "a change of size is not torn"
        end = (self.at // SECTOR_BYTES + sectors) * SECTOR_BYTES
        return Change(self.at, self.data[: max(0, end - self.at)], self.ended)

    @property
    def sectors(self) -> int:
        size = len(self.data or b"")
        return -(-(self.at + size) // SECTOR_BYTES) - self.at // SECTOR_BYTES if size else 0


@dataclass(slots=True, eq=False)
class Node:
    """A file (or a folder, which has no bytes). `durable`: what is certain; `pending`: since then; `cached`: what a reader sees."""

    is_folder: bool = False
    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def image(self, kept: Iterable[Change]) -> bytes:
        found = bytearray(self.durable)
        for change in kept:
            _apply(found, change)
        return bytes(found)


def _apply(content: bytearray, change: Change) -> None:
    if change.data is None:
        del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    content.extend(bytes(max(0, change.at - len(content))))
    content[change.at : change.at + len(change.data)] = change.data


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """A change of one name that its folder's sync has not covered: `node` None for a removal."""

    path: str
    node: Node | None
    ended: int


class Disk:
    """`feed` it events in order. `root`: a folder that is there from the start, for certain."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.durable: dict[str, Node] = {root: Node(is_folder=True)}
        self.cached: dict[str, Node] = dict(self.durable)
        self.namings: list[Naming] = []

    def feed(self, event: Event) -> None:
        match event.kind:
            case Kind.WRITE:
                self._change(event, Change(event.at, event.data, event.ended))
            case Kind.TRUNCATE:
                self._change(event, Change(event.at, None, event.ended))
            case Kind.SYNC:
                self._sync(event)
            case Kind.CREATE:
                if event.path not in self.cached:
                    self._name(event, event.path, Node())
            case Kind.MAKE_FOLDER:
                self._name(event, event.path, Node(is_folder=True))
            case Kind.LINK:
                self._name(event, event.other, self.cached[event.path])
            case Kind.RENAME:
                node = self.cached[event.path]
                self._name(event, event.other, node)
                self._name(event, event.path, None)
            case Kind.REMOVE:
                self._name(event, event.path, None)
            case Kind.SEND:
                return

    def _change(self, event: Event, change: Change) -> None:
        node = self.cached.get(event.path)
        if node is not None:
            node.pending.append(change)
            _apply(node.cached, change)

    def _name(self, event: Event, path: str, node: Node | None) -> None:
        if node is None:
            self.cached.pop(path, None)
        else:
            self.cached[path] = node
        self.namings.append(Naming(path, node, event.ended))

    def _sync(self, event: Event) -> None:
        node = self.cached.get(event.path)
        if node is None:
            return
        if node.is_folder:
            if event.ok:
                self._sync_folder(event)
            return
        covered = [change for change in node.pending if change.ended <= event.began]
        node.pending = [change for change in node.pending if change.ended > event.began]
        if event.ok:
            for change in covered:
                _apply(node.durable, change)

    def _sync_folder(self, event: Event) -> None:
        left: list[Naming] = []
        for naming in self.namings:
            if parent(naming.path) != event.path or naming.ended > event.began:
                left.append(naming)
            elif naming.node is None:
                self.durable.pop(naming.path, None)
            else:
                self.durable[naming.path] = naming.node
        self.namings = left

    # -- what a crash may leave ----------------------------------------------------------------------------------

    def pending(self) -> list[tuple[Node, Change]]:
        """Every change that is not certain, by the time it was made; of files that some name may lead to."""
        named = [*self.durable.values(), *(n.node for n in self.namings if n.node is not None)]
        nodes = {id(node): node for node in named}
        return sorted(((n, c) for n in nodes.values() for c in n.pending), key=lambda each: each[1].ended)

    def image(
        self, kept: Mapping[Node, Iterable[Change]], namings: Iterable[Naming], part: str = ""
    ) -> dict[str, bytes | None]:
        """Path below the root -> bytes (None: a folder), with `kept` of the pending changes and these of the namings.

        Changes of one file, and of one name, must stand in the order in which they were made. `part`: only paths that begin so.
        """
        names = dict(self.durable)
        for naming in namings:
            if naming.node is None:
                names.pop(naming.path, None)
            else:
                names[naming.path] = naming.node
        found: dict[str, bytes | None] = {}
        for path, node in sorted(names.items()):
            relative = path[len(self.root) + 1 :]
            if relative.startswith(part) and relative and all(p in names for p in _above(path, self.root)):
                found[relative] = None if node.is_folder else node.image(kept.get(node, ()))
        return found

    def floor(self) -> dict[str, bytes | None]:
        """What is certain, and nothing else."""
        return self.image({}, ())

    def full(self) -> dict[str, bytes | None]:
        """All of it, as a reader sees it now: what a killed process leaves."""
        kept: dict[Node, list[Change]] = {}
        for node, change in self.pending():
            kept.setdefault(node, []).append(change)
        return self.image(kept, self.namings)


def parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _above(path: str, root: str) -> Iterator[str]:
    while (path := parent(path)) != root and len(path) > len(root):
        yield path


def write_image(image: Mapping[str, bytes | None], folder: Path) -> None:
    """Lay an image out as real files below `folder`, which is made."""
    folder.mkdir(parents=True)
    for relative, data in image.items():
        path = folder / relative
        if data is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(data)
