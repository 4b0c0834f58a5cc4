"""Conservation of records: what came in is stored, dead-lettered or deduplicated, and every stage holds what it should.

`received = stored + dead_lettered + deduplicated` is counted in the append's own transaction; the stages after it count what
they hold by themselves, so that a record lost or doubled on the way shows as a difference here. One that is changed, or given away
for another, shows in the hash: of what the stream was given, and of what batch has read back from the lake. What the seals said up
to the frontier is kept in the manifest's books, so that the stream may let its oldest epochs go, and a look costs the same after
a year as after a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tailrace.model.record_hash import NO_RECORDS, RecordHash
from tailrace.serving.pin import Pinned
from tailrace.states.manifest import Book, BookDifference, Manifest
from tailrace.stream.base import EpochSeal, LedgerCounts, StreamBackend


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage holds of a shard's epochs `after`+1..`through`, and what the stream had stored in them (records)."""

    name: str
    shard: str
    held: int
    expected: int
    after: int
    through: int


def ledger(stream: StreamBackend, pinned: Pinned) -> dict[str, Any]:
    """Totals over all shards and the first stage that differs, as `/v1/pipeline` shows them (counts of lines).

    `lake` and `batch` are compared with what the stream stored up to the epoch each has reached, `speed` with what it stored
    above the frontier; `speed` lines not read yet are lag, not a difference. Of a difference in the hash the stage is `lake`, and
    it has both hashes. `unhashed_epochs`: those up to the frontier of which no hash could be compared.
    """
    received = LedgerCounts()
    totals = {"speed": 0, "lake": 0, "batch": 0}
    unhashed = 0
    difference: dict[str, Any] | None = None
    for shard in (s.id for s in stream.shards()):
        book = pinned.manifest.books.get(shard, Book())
        open_counts = stream.end(shard).open_counts
        seals = stream.seals(shard, book.epoch)
        received = sum((seal.counts for seal in seals), received + booked(book) + open_counts)
        difference = difference or _noted(shard, book)
        unhashed += book.unhashed
        for stage in _stages(pinned, shard, book, seals):
            totals[stage.name] += stage.held
            if stage.held != stage.expected:
                difference = difference or _difference(stage)
    return {
        "received": received.received,
        "stored": received.stored,
        "dead_lettered": received.dead_lettered,
        "deduplicated": received.deduplicated,
        **totals,
        "unhashed_epochs": unhashed,
        "balanced": difference is None,
        "first_difference": difference,
    }


def booked(book: Book) -> LedgerCounts:
    return LedgerCounts(book.stored, book.dead_lettered, book.deduplicated)


def carried_on(book: Book, epoch: int, fresh: Iterable[LedgerCounts]) -> Book:
    """The book through `epoch`; `fresh`: what came in since its own."""
    counts = sum(fresh, booked(book))
    return msgspec.structs.replace(
        book,
        epoch=max(book.epoch, epoch),
        stored=counts.stored,
        dead_lettered=counts.dead_lettered,
        deduplicated=counts.deduplicated,
    )


def compared(book: Book, before: Book, epochs: tuple[int, int], held: int) -> Book:
    """`book`, which has moved on from `before` by `epochs`, with the difference noted if batch found `held` records and not so many."""
    expected = book.stored - before.stored
    if book.difference is not None or before.epoch != epochs[0] - 1 or expected == held:
        return book
    noted = BookDifference(epoch_first=epochs[0], epoch_last=epochs[1], expected=expected, held=held)
    return msgspec.structs.replace(book, difference=noted)


def hash_compared(book: Book, seals: Iterable[EpochSeal], held: Mapping[int, RecordHash]) -> Book:
    """`book` with the first of the epochs `seals` noted whose records in the lake, of the hashes `held`, are not those it was given."""
    for seal in seals:
        found = held.get(seal.epoch, NO_RECORDS)
        if not seal.hash.comparable(found):
            book = msgspec.structs.replace(book, unhashed=book.unhashed + 1)
        elif book.difference is None and found.sum != seal.hash.sum:
            noted = BookDifference(
                epoch_first=seal.epoch,
                epoch_last=seal.epoch,
                expected=seal.counts.stored,
                held=seal.counts.stored,
                expected_hash=f"{seal.hash.sum:016x}",
                held_hash=f"{found.sum:016x}",
            )
            book = msgspec.structs.replace(book, difference=noted)
    return book


def _stages(pinned: Pinned, shard: str, book: Book, seals: list[EpochSeal]) -> Iterator[Stage]:
    """The stages that have anything of the shard to compare. `seals`: of the epochs above the book's."""

    def stored(after: int, through: int) -> int:
        return sum(seal.counts.stored for seal in seals if after < seal.epoch <= through)

    manifest = pinned.manifest
    frontier, lake_epoch = manifest.frontier.get(shard, 0), manifest.lake.epochs.get(shard, 0)
    lake = manifest.lake.rows.get(shard, 0) + manifest.lake.let_go.get(shard, 0)
    yield Stage("lake", shard, lake, book.stored + stored(book.epoch, lake_epoch), 0, lake_epoch)
    for view in pinned.views.values():
        yield Stage(
            "batch",
            shard,
            batch_records(manifest, view.name, shard),
            book.stored + stored(book.epoch, frontier),
            0,
            frontier,
        )
        sealed = [e for e in pinned.speed.of(view.version).epochs if e.shard == shard and e.sealed]
        if sealed:
            through = sealed[-1].epoch
            yield Stage("speed", shard, sum(e.records for e in sealed), stored(frontier, through), frontier, through)
        break


def batch_records(manifest: Manifest, view: str, shard: str) -> int:
    """Good records of a shard that the view's batch segments were computed from, and those it can never have had."""
    states = manifest.views[view]
    return sum(s.records for s in states.segments if s.shard == shard) + states.absent.get(shard, 0)


def _noted(shard: str, book: Book) -> dict[str, Any] | None:
    noted = book.difference
    if noted is None:
        return None
    after, through = noted.epoch_first - 1, noted.epoch_last
    if not noted.expected_hash:
        return _difference(Stage("batch", shard, noted.held, noted.expected, after, through))
    hashes = {"expected_hash": noted.expected_hash, "held_hash": noted.held_hash}
    return _difference(Stage("lake", shard, noted.held, noted.expected, after, through)) | hashes


def _difference(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "shard": stage.shard,
        "expected": stage.expected,
        "held": stage.held,
        "epoch_first": stage.after + 1,
        "epoch_last": stage.through,
    }
