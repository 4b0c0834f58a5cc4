"""Conservation of records: what came in is stored, dead-lettered or deduplicated, and every stage holds what it should.

`received = stored + dead_lettered + deduplicated` is counted in the append's own transaction; the stages after it count what
they hold by themselves, so that a record lost or doubled on the way shows as a difference here.
"""

from __future__ import annotations

from typing import Any

from tailrace.serving.pin import Pinned
from tailrace.stream.base import LedgerCounts, StreamBackend


def ledger(stream: StreamBackend, pinned: Pinned) -> dict[str, Any]:
    """Totals over all shards and the first stage that differs, as `/v1/pipeline` shows them (counts of lines).

    `lake` and `batch` are compared with what the stream stored up to the epoch each has reached, `speed` with what it stored
    above the frontier; `speed` lines not read yet are lag, not a difference.
    """
    received = LedgerCounts()
    totals = {"speed": 0, "lake": 0, "batch": 0}
    difference: dict[str, Any] | None = None
    for shard in (s.id for s in stream.shards()):
        stored = {seal.epoch: seal.counts for seal in stream.seals(shard)}
        received = sum(stored.values(), received + stream.end(shard).open_counts)
        for stage, held, through in _stages(pinned, shard):
            totals[stage] += held
            expected = sum(c.stored for epoch, c in stored.items() if through[0] < epoch <= through[1])
            if held != expected and difference is None:
                epochs = {"epoch_first": through[0] + 1, "epoch_last": through[1]}
                difference = {"stage": stage, "shard": shard, "expected": expected, "held": held, **epochs}
    return {
        "received": received.received,
        "stored": received.stored,
        "dead_lettered": received.dead_lettered,
        "deduplicated": received.deduplicated,
        **totals,
        "balanced": difference is None,
        "first_difference": difference,
    }


def _stages(pinned: Pinned, shard: str) -> list[tuple[str, int, tuple[int, int]]]:
    """(stage, records held, epochs (after, through]) for each stage that has anything of the shard to compare."""
    manifest = pinned.manifest
    frontier = manifest.frontier.get(shard, 0)
    stages = [("lake", manifest.lake.rows.get(shard, 0), (0, manifest.lake.epochs.get(shard, 0)))]
    for view in pinned.views.values():
        held = sum(s.records for s in manifest.views[view.name].segments if s.shard == shard)
        stages.append(("batch", held, (0, frontier)))
        sealed = [e for e in pinned.speed.of(view.version).epochs if e.shard == shard and e.sealed]
        if sealed:
            stages.append(("speed", sum(e.records for e in sealed), (frontier, sealed[-1].epoch)))
        break
    return stages
