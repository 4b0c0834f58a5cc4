"""Lines that could not be read: the newest of them, or one by its id, wherever they are kept.

Called by the HTTP surface. The batch process copies them out of the stream as their epochs are sealed; what it has not copied
yet is read from the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from tailrace.batch.dead_letters import DeadLetterStore, LetterMark
from tailrace.errors import Invalid, NotFound
from tailrace.model.shard import Shard, shard_id
from tailrace.model.verdict import Verdict
from tailrace.stream.base import StreamBackend
from tailrace.stream.dead_letters import DeadLetter, last_letters, ranges

_ID = re.compile(r"(\d{1,9})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Both places together. Safe in any thread."""

    stream: StreamBackend
    store: DeadLetterStore

    def newest(self, limit: int, verdict: Verdict | None = None) -> list[DeadLetter]:
        """The newest `limit` that are kept, newest first; with `verdict`, those of this kind only."""
        found = {letter.id: letter for letter in self._fresh(limit, verdict)}
        # The store last: what was copied meanwhile is in both, and the store knows whether it was redriven.
        found |= {letter.id: letter for letter in self.store.newest(self.stream.shards(), limit, verdict)}
        return sorted(found.values(), key=_arrival, reverse=True)[:limit]

    def one(self, dead_letter_id: str) -> DeadLetter:
        """Raises Invalid for what is no id, NotFound if no dead letter has it (any more)."""
        match = _ID.fullmatch(dead_letter_id)
        if match is None:
            raise Invalid(
                f"`{dead_letter_id}` is no id of a dead letter",
                hint="they look like 0-1234; see: tailrace deadletters list",
            )
        shard = next((s for s in self.stream.shards() if s.id == shard_id(int(match[1]))), None)
        found = self._at(shard, int(match[2])) if shard else None
        if found is None:
            raise NotFound(
                f"there is no dead letter `{dead_letter_id}`",
                hint="see those that are kept: tailrace deadletters list",
            )
        return found

    def total(self) -> int:
        """How many are kept. Those that somebody redrives before they are copied count once."""
        return self.store.count() + sum(self._not_copied(shard, mark) for shard, mark in self._marked())

    def _at(self, shard: Shard, offset: int) -> DeadLetter | None:
        kept = self.store.one(shard, offset)
        if kept is not None or offset >= self.stream.end(shard.id).next_offset:
            return kept
        return next(iter(last_letters(self.stream, shard, offset, offset, 1)), None)

    def _fresh(self, limit: int, verdict: Verdict | None) -> Iterator[DeadLetter]:
        """The last of each shard that the store has not."""
        for shard, mark in self._marked():
            wanted = limit
            for first, last in reversed(ranges(self.stream, shard, mark.epoch, mark.last_offset)):
                if wanted <= 0:
                    break
                found = last_letters(self.stream, shard, first, last, wanted, verdict)
                wanted -= len(found)
                yield from found

    def _not_copied(self, shard: Shard, mark: LetterMark) -> int:
        end = self.stream.end(shard.id)
        sealed = sum(seal.counts.dead_lettered for seal in self.stream.seals(shard.id, mark.epoch))
        return sealed + end.open_counts.dead_lettered - self.store.count_after(shard, mark.last_offset)

    def _marked(self) -> list[tuple[Shard, LetterMark]]:
        marks = self.store.marks()
        return [(shard, marks.get(shard.index, LetterMark())) for shard in self.stream.shards()]


class Newest:
    """The newest few, for a page that asks again and again: looked for once, until there are more of them."""

    def __init__(self, letters: DeadLetters, limit: int) -> None:
        self._letters = letters
        self._limit = limit
        self._lock = Lock()
        self._known: tuple[int, list[DeadLetter]] = (0, [])

    def of(self, count: int) -> list[DeadLetter]:
        """`count`: how many there ever were, by the ledger. Safe from any thread; one of them looks, the others wait for it."""
        with self._lock:
            if self._known[0] != count:
                self._known = (count, self._letters.newest(self._limit))
            return self._known[1]


def _arrival(letter: DeadLetter) -> tuple[int, int, int]:
    return letter.arrived_at_us, letter.shard.index, letter.offset
