"""What views and ledger must hold of one manifest or many: sums of the posts that were acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tailrace.errors import Invalid
from tailrace.producers.lines import POST_DIGITS
from tailrace.producers.manifest import Manifest, Post


class Key(NamedTuple):
    """A row of the view `records_by_service`. `window`: of ten seconds, since 1970."""

    window: int
    service: str
    endpoint: str
    status: int


class Sums(NamedTuple):
    """Records, and their response times in microseconds."""

    records: int
    response_us: int

    def plus(self, other: Sums) -> Sums:
        return Sums(self.records + other.records, self.response_us + other.response_us)


NONE = Sums(0, 0)
Cells = dict[Key, Sums]


@dataclass(slots=True)
class Expected:
    """`cells`, `lines`, `dead` (by verdict): of acknowledged posts. `doubtful`: those posts of which nobody knows, by trace prefix.

    `untold`: dead letters of targets whose answers do not name them. `again`: lines that were sent again on purpose; `deduplicated`:
    lines that answers called so. `complaints`: answers that were not what the posts were. `runs`: the ids in the lines' trace ids.
    `ledger`: of the node before the first run, if that is known. `open_ended`: runs whose manifests have no end.
    """

    runs: list[str] = field(default_factory=list)
    cells: Cells = field(default_factory=dict)
    lines: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    untold: int = 0
    doubtful: dict[str, tuple[Post, Cells]] = field(default_factory=dict)
    unsent: int = 0
    refused: int = 0
    again: int = 0
    deduplicated: int = 0
    complaints: list[str] = field(default_factory=list)
    ledger: Mapping[str, int] | None = None
    open_ended: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Lines that are to be counted."""
        return self.lines - self.dead.total()

    @property
    def doubtful_lines(self) -> int:
        return sum(post.lines for post, _ in self.doubtful.values())

    def add_cells(self, cells: Mapping[Key, Sums]) -> None:
        for key, sums in cells.items():
            self.cells[key] = self.cells.get(key, NONE).plus(sums)


def expect(manifests: Sequence[Manifest]) -> Expected:
    """Raises Invalid for two manifests of one run: its lines would be expected twice."""
    found = Expected()
    for manifest in manifests:
        run = manifest.begin.spec.run
        if run in found.runs:
            raise Invalid(f"run `{run}` is given twice: `{manifest.path}`", hint="name each manifest once")
        found.runs.append(run)
        _add(found, manifest)
    books = [m.begin.ledger for m in manifests if m.begin.ledger is not None]
    if len(books) == len(manifests):
        found.ledger = min(books, key=lambda book: book["received"], default=None)
    return found


def _add(found: Expected, manifest: Manifest) -> None:
    run = manifest.begin.spec.run
    tells = manifest.begin.spec.target.startswith("http")
    for n, ack in manifest.acked.items():
        post = manifest.posts[n]
        found.lines += post.lines
        found.dead.update(post.dead)
        found.untold += 0 if tells else sum(post.dead.values())
        found.deduplicated += ack.deduplicated
        found.add_cells(_cells(manifest, post))
        if ack.dead is not None:
            must = sum(post.dead.values())
            found.complaints.append(f"post {n} of run {run}: {ack.dead} dead letters were answered, must be {must}")
    if manifest.end is None:
        found.open_ended.append(run)
    for again in manifest.again:
        found.again += again.lines
        found.deduplicated += again.deduplicated
    found.unsent += sum(manifest.posts[n].lines for n in manifest.unsent if n not in manifest.acked)
    for n, problem in manifest.refused.items():
        found.refused += manifest.posts[n].lines
        found.complaints.append(f"post {n} of run {run} was refused: {problem}")
    for n in manifest.in_doubt:
        post = manifest.posts[n]
        found.doubtful[f"{run}{n:0{POST_DIGITS}x}"] = (post, _cells(manifest, post))


def _cells(manifest: Manifest, post: Post) -> Cells:
    endpoints, statuses = manifest.begin.spec.profile.endpoints, manifest.begin.statuses
    found: Cells = {}
    for window, key, records, response_us in post.cells:
        place, code = divmod(key, len(statuses))
        endpoint = endpoints[place]
        at = Key(window, endpoint.service, endpoint.path, statuses[code])
        # Two endpoints of a profile may have one name where a service gives it twice.
        found[at] = found.get(at, NONE).plus(Sums(records, response_us))
    return found


def stretches(
    windows: Iterable[int], cells: Mapping[Key, Sums], records_max: int, gap: int = 360
) -> list[tuple[int, int]]:
    """[first, end) of windows, that together hold all of `windows`, with at most about `records_max` records each and no gap of more
    than `gap` windows inside: what lies between is somebody else's."""
    sizes: Counter[int] = Counter()
    for key, sums in cells.items():
        sizes[key.window] += sums.records
    found: list[tuple[int, int]] = []
    held = 0
    for window in sorted(set(windows)):
        if found and window - found[-1][1] <= gap and held + sizes[window] <= records_max:
            found[-1] = (found[-1][0], window + 1)
            held += sizes[window]
        else:
            found.append((window, window + 1))
            held = sizes[window]
    return found
