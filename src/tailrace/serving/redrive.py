"""Send dead letters again, after a format or a field has been put right: read anew, and appended as records of now.

A redriven letter is a new receipt whose stamp is its own place in the stream, so that one that is sent twice counts once. It stays
in the list, marked. A preview reads and appends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import msgspec
import pyarrow as pa

from tailrace.batch.dead_letters import DeadLetterStore
from tailrace.config.settings import Settings
from tailrace.formats.base import Format
from tailrace.formats.decode import decode, known_format
from tailrace.formats.reading import limits_of, options_of
from tailrace.model.fields import RAW_SCHEMA, VERDICT
from tailrace.model.verdict import REASONS, Verdict
from tailrace.runtime.clock import Clock
from tailrace.serving.dead_letters import DeadLetters
from tailrace.stream.base import Appended, ProducerStamp, StreamBackend
from tailrace.stream.dead_letters import DeadLetter
from tailrace.stream.partitioning import split

SAMPLES_MAX = 20
_AT_ONCE = 2_000
_LINES_PER_STAMP = 1 << 16


class Redrive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send again: those of `ids`, or all that were not sent yet, of one `verdict` or of any; `limit` of them at most.

    `format`, `key_field`, `response_time`: how to read them, as for a post of logs. `preview`: read them, and change nothing.
    """

    ids: tuple[str, ...] = ()
    verdict: str | None = None
    format: str = "json"
    key_field: str = ""
    response_time: str = ""
    preview: bool = False
    limit: int = 100_000


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one letter: the `record` it is read as, or the `reason` why it still cannot be read."""

    id: str
    record: dict[str, object] | None = None
    reason: str | None = None


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """`looked_at` = `readable` + `unreadable` + `already` (redriven before). `accepted`: appended now; `deduplicated`: by a redrive
    that was cut short. `reasons`: of those that still cannot be read."""

    preview: bool
    looked_at: int = 0
    readable: int = 0
    unreadable: int = 0
    already: int = 0
    accepted: int = 0
    deduplicated: int = 0
    reasons: dict[str, int] = {}
    samples: list[Sample] = []


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """Letters, and what each line was read as; row for row."""

    letters: list[DeadLetter]
    columns: pa.Table
    raw: pa.Table
    keys: pa.Array

    @property
    def verdicts(self) -> list[int]:
        found: list[int] = self.columns.column(VERDICT).to_pylist()
        return found

    def only(self, rows: Sequence[int]) -> _Read:
        chosen = pa.array(rows, pa.int64())
        letters = [self.letters[row] for row in rows]
        return _Read(letters, self.columns.take(chosen), self.raw.take(chosen), self.keys.take(chosen))


class Redriver:
    """Runs in the node; one redrive at a time (the caller sees to it)."""

    def __init__(
        self,
        stream: StreamBackend,
        store: DeadLetterStore,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._store = store
        self._letters = DeadLetters(stream, store)
        self._settings = settings
        self._fields = settings.fields
        self._clock = clock

    def run(self, wish: Redrive) -> Redriven:
        """Raises Invalid (a format, an id that is none), NotFound (a letter that is not kept), Unavailable (it cannot be appended:
        what was is marked, and the same call goes on)."""
        chosen = known_format(wish.format, self._settings.formats)
        tally = _Tally()
        for letters in self._chosen(wish):
            tally.counts["looked_at"] += len(letters)
            waiting = [letter for letter in letters if letter.redriven_at_us is None]
            tally.counts["already"] += len(letters) - len(waiting)
            for read in self._read(waiting, chosen, wish):
                self._send(read, tally, preview=wish.preview)
        return Redriven(
            preview=wish.preview, reasons=dict(tally.reasons.most_common()), samples=tally.samples, **tally.counts
        )

    def _chosen(self, wish: Redrive) -> Iterator[list[DeadLetter]]:
        if wish.ids:
            yield sorted((self._letters.one(each) for each in dict.fromkeys(wish.ids)), key=_place)
            return
        verdict = Verdict[wish.verdict.upper()] if wish.verdict else None
        waiting = [x for x in self._letters.newest(wish.limit, verdict) if x.redriven_at_us is None]
        waiting.sort(key=_place)
        for start in range(0, len(waiting), _AT_ONCE):
            yield waiting[start : start + _AT_ONCE]

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, letters: Sequence[DeadLetter], chosen: Format, wish: Redrive) -> Iterator[_Read]:
        """All letters, in their order."""
        for alone, group in groupby(letters, key=_alone):
            for part in [[letter] for letter in group] if alone else [list(group)]:
                found = self._decoded(part, chosen, wish)
                if found is None and len(part) > 1:
                    yield from (self._decoded([letter], chosen, wish) or self._unread(letter) for letter in part)
                else:
                    yield found or self._unread(part[0])

    def _decoded(self, letters: list[DeadLetter], chosen: Format, wish: Redrive) -> _Read | None:
        """None if they are not one record each: blank now, or several."""
        options = options_of(self._settings, wish.key_field, wish.response_time)
        limits = limits_of(self._settings, self._clock.now_us())
        found = decode(b"\n".join(x.raw for x in letters), chosen, self._fields, limits, options)
        return _Read(letters, found.columns, found.raw, found.keys) if found.count == len(letters) else None

    def _unread(self, letter: DeadLetter) -> _Read:
        schema = self._fields.block_schema()
        columns = [pa.nulls(1, kind) for kind in schema.types]
        columns[schema.get_field_index(VERDICT)] = pa.array([int(Verdict.MALFORMED)], pa.uint8())
        raw = pa.Table.from_pylist([{}], schema=RAW_SCHEMA)
        return _Read([letter], pa.Table.from_arrays(columns, schema=schema), raw, pa.nulls(1, pa.string()))

    # -- sending -------------------------------------------------------------------------------------------------

    def _send(self, read: _Read, tally: _Tally, *, preview: bool) -> None:
        verdicts = read.verdicts
        _note(read, verdicts, tally)
        good = [row for row, verdict in enumerate(verdicts) if verdict == Verdict.GOOD]
        if good and not preview:
            appended = self._append(read.only(good))
            tally.counts["accepted"] += sum(each.stored for each in appended)
            tally.counts["deduplicated"] += sum(each.deduplicated for each in appended)

    def _append(self, read: _Read) -> list[Appended]:
        begun = self._store.redrive_keys(read.letters)
        keys = [before if before is not None else _key(read, row) for row, before in enumerate(begun)]
        self._store.begin_redrive(read.letters, keys)
        pending = []
        for (shard, stamp_n), group in groupby(range(len(keys)), key=lambda row: _stamp_of(read.letters[row])):
            rows = list(group)
            part = read.only(rows)
            lines = [letter.offset % _LINES_PER_STAMP for letter in part.letters]
            stamp = ProducerStamp(f"tailrace deadletters {shard}", 0, stamp_n)
            chosen = pa.array([keys[row] for row in rows], pa.string())
            batches = split(part.columns, part.raw, chosen, self._stream.shards(), lines, stamp)
            pending += [self._stream.append(batch) for batch in batches]
        appended = [each.result() for each in pending]
        self._store.end_redrive(read.letters, self._clock.now_us())
        return appended


def _alone(letter: DeadLetter) -> bool:
    """Whether it would change how its neighbours are read: it spans lines, is blank, or may begin a JSON array."""
    return b"\n" in letter.raw or not letter.raw.strip() or letter.raw.lstrip()[:1] == b"["


def _stamp_of(letter: DeadLetter) -> tuple[int, int]:
    """(shard, which stretch of it): letters of one stretch share a stamp, in which each is a line. No client's stamp has a blank."""
    return letter.shard.index, letter.offset // _LINES_PER_STAMP


def _place(letter: DeadLetter) -> tuple[int, int]:
    return letter.shard.index, letter.offset


def _key(read: _Read, row: int) -> str:
    key = read.keys[row].as_py()
    return str(key) if key is not None else read.letters[row].raw.decode("utf-8", "backslashreplace")


def _note(read: _Read, verdicts: Sequence[int], tally: _Tally) -> None:
    names = [name for name in read.columns.column_names if name != VERDICT]
    for row, (letter, verdict) in enumerate(zip(read.letters, verdicts, strict=True)):
        good = verdict == Verdict.GOOD
        tally.counts["readable" if good else "unreadable"] += 1
        reason = None if good else REASONS[Verdict(verdict)]
        if reason is not None:
            tally.reasons[reason] += 1
        if len(tally.samples) < SAMPLES_MAX:
            record = {n: v for n in names if (v := read.columns[n][row].as_py()) is not None} if good else None
            tally.samples.append(Sample(id=letter.id, record=record, reason=reason))
