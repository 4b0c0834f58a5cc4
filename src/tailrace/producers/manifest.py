"""The manifest of a run: what was sent and what was acknowledged, a JSON object a line, appended by all processes as they go.

A line is one write to a file that is open for appending, so lines of several processes do not mix, and a process that is killed
leaves whole lines but for the last. A post's line (`post`) is written before the post is sent, with all that its lines will add to a
view; `ack` once it is acknowledged. So at any moment a post is acknowledged, known not to be stored (`unsent`, `refused`), or in
doubt (all others), and for each it is known which numbers it stands for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tailrace.errors import Corrupt, Invalid
from tailrace.producers.feed import Post as Sent
from tailrace.producers.sinks.base import Acked
from tailrace.producers.spec import RunSpec
from tailrace.producers.truth import Cell, PostTruth

FORMAT = 1


class _Record(msgspec.Struct, tag_field="is", omit_defaults=True):
    pass


class Begin(_Record, tag="run"):
    """The first line. `statuses`: codes of the run, for the keys of cells. `ledger`: of the node, before the run; None if unknown."""

    format: int
    version: str
    begun_at: str
    spec: RunSpec
    statuses: list[int]
    ledger: dict[str, int] | None = None


class Label(_Record, tag="label"):
    """Something goes wrong on purpose. Instants of event time; `endpoints`: paths, empty for all. Written before it begins."""

    scenario: str
    begins_at: str
    ends_at: str
    endpoints: list[str]
    parameters: dict[str, float]
    title: str


class Rate(_Record, tag="rate"):
    """From slot `slot` on, so many lines a second: it was changed while the run went on."""

    slot: int
    rate: float


class Post(_Record, tag="post"):
    """Written before it is sent. `cells`: see truth.Cell."""

    n: int
    lines: int
    cells: list[Cell]
    dead: dict[str, int] = {}


class Ack(_Record, tag="ack"):
    """`deduplicated`: lines that had been stored by an earlier attempt. `dead`: dead letters, where it was not what was to be."""

    n: int
    deduplicated: int = 0
    dead: int | None = None


class Again(_Record, tag="again"):
    """A post was sent once more, on purpose, and acknowledged."""

    n: int
    lines: int
    deduplicated: int


class Unsent(_Record, tag="unsent"):
    """The run ended before this post was given to a connection."""

    n: int


class Refused(_Record, tag="refused"):
    n: int
    problem: str


class Open(_Record, tag="open"):
    """Given up without an acknowledgement: in doubt."""

    n: int
    problem: str


class End(_Record, tag="end"):
    """The run ended by itself or was told to. `seconds`: it took."""

    ended_at: str
    seconds: float
    sent: int
    acked: int
    retries: int
    whole: bool


Record = Begin | Label | Rate | Post | Ack | Again | Unsent | Refused | Open | End
_BEGINS = b'{"is":'
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Record)


class ManifestWriter:
    """Any thread may write. Also the journal of a sink (see sinks.base.Journal)."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """`fresh`: there must be none. Raises Invalid if there is, or if it cannot be written."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_EXCL if fresh else 0)
        try:
            self._file = os.open(path, flags, 0o644)
        except FileExistsError as error:
            raise Invalid(f"`{path}` is there already", hint="give another name with --manifest") from error
        except OSError as error:
            raise Invalid(
                f"manifest `{path}` cannot be written: {error}", hint="name a file with --manifest"
            ) from error
        self._lock = threading.Lock()

    def write(self, record: Record) -> None:
        line = _ENCODER.encode(record) + b"\n"
        with self._lock:
            if os.write(self._file, line) != len(line):
                raise OSError("the manifest was not written whole: is the disk full?")

    def begun(self, n: int, truth: PostTruth) -> None:
        self.write(Post(n, truth.lines, list(truth.cells), dict(truth.dead)))

    def unsent(self, n: int) -> None:
        self.write(Unsent(n))

    def acked(self, post: Sent, n: int, acked: Acked) -> None:
        if post.again:
            self.write(Again(n, post.lines, acked.deduplicated))
            return
        told = None if acked.deduplicated or post.dead is None else acked.dead_lettered
        self.write(Ack(n, acked.deduplicated, told if told != post.dead else None))

    def refused(self, post: Sent, n: int, problem: str) -> None:
        if not post.again:
            self.write(Refused(n, problem))

    def left_open(self, post: Sent, n: int, problem: str) -> None:
        if not post.again:
            self.write(Open(n, problem))

    def sync(self) -> None:
        """On disk, whoever wrote it."""
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class Manifest:
    """One file, read. `posts`: by number. A post in none of `acked`, `unsent`, `refused` is in doubt."""

    path: Path
    begin: Begin
    labels: list[Label] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    posts: dict[int, Post] = field(default_factory=dict)
    acked: dict[int, Ack] = field(default_factory=dict)
    again: list[Again] = field(default_factory=list)
    unsent: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    end: End | None = None

    @property
    def in_doubt(self) -> list[int]:
        return sorted(self.posts.keys() - self.acked.keys() - self.unsent - self.refused.keys())


def read_manifest(path: Path) -> Manifest:
    """A last line that was not finished is left out. Raises Invalid for what is no manifest, Corrupt for a damaged line before."""
    records = _records(path)
    first = next(records, None)
    if not isinstance(first, Begin):
        raise Invalid(f"`{path}` is no manifest", hint="tailrace produce writes one; --manifest says where")
    found = Manifest(path, first)
    for record in records:
        _take(found, record)
    return found


def _take(found: Manifest, record: Record) -> None:
    match record:
        case Post():
            # Sent anew by a process that took over: what was said of it before no longer holds, but for an acknowledgement.
            found.posts[record.n] = record
            found.unsent.discard(record.n)
        case Ack():
            found.acked[record.n] = record
        case Again():
            found.again.append(record)
        case Unsent():
            found.unsent.add(record.n)
        case Refused():
            found.refused[record.n] = record.problem
        case Label():
            found.labels.append(record)
        case Rate():
            found.rates.append(record)
        case End():
            found.end = record
        case Begin():
            raise Corrupt(str(found.path), "it begins twice")


def _records(path: Path) -> Iterator[Record]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise Invalid(f"manifest `{path}` cannot be read: {error}", hint="tailrace produce writes one") from error
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield _DECODER.decode(_whole(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if number == 1:
                raise Invalid(f"`{path}` is no manifest: {error}", hint="tailrace produce writes one") from error
            raise Corrupt(str(path), f"line {number} cannot be read: {error}", hint="produce again") from error


def _whole(line: bytes) -> bytes:
    """The record at the end of a line. Before it may stand the beginning of one that a killed process did not finish."""
    begins = line.rfind(_BEGINS)
    return line[begins:] if begins > 0 else line
