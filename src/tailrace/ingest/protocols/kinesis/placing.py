"""Where each record of a request stands once its batches are stored. Pure.

A record that repeats one of the same id has the place of the first. One that was packed has the place of its last sub-record; if any of
these could not be stored, it has that one's error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailrace.errors import TailraceError
from tailrace.ingest.protocols.kinesis.unpacking import Rows
from tailrace.ingest.storing import Sent
from tailrace.model.sequence import sequence_base
from tailrace.model.shard import Shard
from tailrace.stream.base import Appended
from tailrace.stream.checks import as_numbers

Placed = tuple[str, str] | TailraceError
"""Shard id and sequence number, or what kept the record out."""


def place(rows: Rows, done: Sequence[tuple[Sent, Appended | TailraceError]], shards: Sequence[Shard]) -> list[Placed]:
    """One for each record, in order."""
    placed: list[Placed | None] = [None] * len(rows.data)
    known = {shard.id: (shard.id, *sequence_base(shard)) for shard in shards}
    failed: dict[int, TailraceError] = {}
    for sent, result in done:
        numbers = as_numbers(sent.batch.lines)
        if isinstance(result, Appended):
            _place_batch(placed, numbers, result, known)
        else:
            failed |= dict.fromkeys(numbers.tolist(), result)
    for row, error in failed.items():
        placed[row] = error
    whole = [each for each in placed if each is not None]
    if len(whole) != len(placed):
        raise AssertionError("a row of a put is in no batch")
    return whole if rows.last is None else _of_packed(whole, rows.last, sorted(failed))


def _place_batch(
    placed: list[Placed | None], numbers: Any, result: Appended, known: dict[str, tuple[str, int, int]]
) -> None:
    fresh = numbers
    if result.repeats:
        fresh = numbers[~np.isin(numbers, list(result.repeats))]
        for row, (shard, offset) in result.repeats.items():
            name, base, step = known[shard]
            placed[row] = (name, str(base + (offset + 1) * step))
    name, base, step = known[result.shard_id]
    number = base + (result.first_offset + 1) * step
    for row in fresh.tolist():
        placed[row] = (name, str(number))
        number += step


def _of_packed(placed: list[Placed], last: Any, failed: Sequence[int]) -> list[Placed]:
    found = [placed[row] for row in last.tolist()]
    for row in failed:
        found[int(np.searchsorted(last, row))] = placed[row]
    return found
