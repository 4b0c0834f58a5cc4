"""What becomes of batches that a request has given to the stream, whichever protocol it came by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from tailrace.errors import InternalError, ShardClosed, TailraceError, Unavailable
from tailrace.formats.base import Decoded
from tailrace.model.verdict import Verdict
from tailrace.stream.base import Appended, ShardBatch, StreamBackend
from tailrace.telemetry import metrics as names
from tailrace.telemetry.registry import Registry

STORE_TIMEOUT_S = 30
ROUNDS_MAX = 8
"""How often the lines of a post may be divided anew because their shards were split or merged."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch in the stream's hands, or what kept it out."""

    batch: ShardBatch
    appending: Future[Appended] | Unavailable


def send(stream: StreamBackend, batch: ShardBatch) -> Sent:
    try:
        return Sent(batch, stream.append(batch))
    except Unavailable as error:
        return Sent(batch, error)


async def outcome(appending: Future[Appended] | Unavailable) -> Appended | TailraceError:
    """What became of one batch; never raises but for a bug of ours or a cancelled request."""
    if isinstance(appending, Unavailable):
        return appending
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            return await asyncio.shield(asyncio.wrap_future(appending))
    except TimeoutError:
        return Unavailable(f"the store did not answer within `{STORE_TIMEOUT_S}` seconds")
    except TailraceError as error:
        return error
    except OSError as error:
        _logger.exception("append failed")
        return InternalError(f"the post could not be stored: {error}")


async def settled(
    sent: list[Sent], again: Callable[[list[ShardBatch]], Awaitable[list[Sent]]]
) -> list[tuple[Sent, Appended | TailraceError]]:
    """Each batch with what became of it. Those whose shards were split or merged before they were stored are not among them: `again`
    divides their lines anew, and its batches take their place."""
    done: list[tuple[Sent, Appended | TailraceError]] = []
    for _ in range(ROUNDS_MAX):
        results = await asyncio.gather(*(outcome(each.appending) for each in sent))
        moved = [each for each, result in zip(sent, results, strict=True) if isinstance(result, ShardClosed)]
        done += [(e, r) for e, r in zip(sent, results, strict=True) if not isinstance(r, ShardClosed)]
        if not moved:
            return done
        try:
            sent = await again([each.batch for each in moved])
        except TailraceError as error:
            return done + [(each, error) for each in moved]
    moved_on = Unavailable("its shards were split or merged again and again", retry_after_s=1)
    return done + [(each, moved_on) for each in sent]


def count_lines(metrics: Registry, decoded: Decoded, appended: Sequence[Appended]) -> None:
    """Into the metrics: what became of lines that were stored, and why those that are dead letters are."""
    outcomes = {
        "stored": sum(each.stored for each in appended),
        "dead_lettered": sum(each.dead_lettered for each in appended),
        "deduplicated": sum(each.deduplicated for each in appended),
    }
    for outcome, lines in outcomes.items():
        metrics.add(names.INGEST_LINES, lines, outcome)
    if outcomes["dead_lettered"]:
        counts = np.bincount(decoded.columns.column("verdict").to_numpy())
        for verdict in np.flatnonzero(counts).tolist():
            if verdict:
                metrics.add(names.INGEST_DEAD_LETTERS, int(counts[verdict]), Verdict(verdict).name.lower())
