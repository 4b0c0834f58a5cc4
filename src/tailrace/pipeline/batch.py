"""The batch process: sealed epochs into the lake, states from the lake, the frontier. At low priority: it may always wait."""

from __future__ import annotations

import logging
import os

from tailrace.batch.consumer import consume
from tailrace.batch.dead_letters import DeadLetterStore
from tailrace.batch.lake.iceberg import IcebergLake
from tailrace.ingest.protocols.kinesis.kept import KeptFile
from tailrace.pipeline.patience import patiently
from tailrace.pipeline.role import RoleArguments
from tailrace.runtime.clock import SystemClock
from tailrace.serving.batch_loop import run_batch
from tailrace.serving.handover import CycleReport, Handover
from tailrace.serving.housekeeping import Housekeeping
from tailrace.states.manifest import ManifestStore
from tailrace.stream.backends.embedded import open_embedded

LOG = logging.getLogger(__name__)


def run(arguments: RoleArguments) -> None:
    """Raises Fenced if another batch process has taken over, Conflict if one still has the lake."""
    settings, lifeline = arguments.settings, arguments.lifeline
    os.nice(settings.batch.nice)
    clock = SystemClock()
    # It never appends or seals, but it may be first on a new data folder.
    stream = patiently(
        lambda: open_embedded(settings.stream_dir, settings.stream, settings.fields, clock), lifeline.stop
    )
    if stream is None:
        return
    lake = patiently(lambda: IcebergLake(settings.lake_dir, settings.fields, clock), lifeline.stop)
    store = patiently(lambda: ManifestStore(settings.manifest_path), lifeline.stop)
    letters = patiently(lambda: DeadLetterStore(settings.dead_letters_path), lifeline.stop)
    if lake is None or store is None or letters is None:
        return
    segments_min = settings.batch.compact_segments_min
    handover = Handover(
        stream, lake, store, settings.states_dir, settings.fields, clock, segments_min, settings.retention
    )

    kept = KeptFile(settings.kinesis_path, clock)
    house = Housekeeping(
        stream,
        lake,
        store,
        letters,
        settings.retention,
        settings.stream.dedupe_horizon_s,
        clock,
        stream_age_s=lambda: kept.read().stream_age_s,
    )

    def consume_sealed() -> bool:
        consumed = consume(stream, lake)
        return consumed is not None and consumed.waiting > 0

    lifeline.ready()
    try:
        interval_s = settings.batch.interval_ms / 1000
        run_batch(consume_sealed, handover, store, clock, interval_s, lifeline.stop, _report, house.run)
    finally:
        lake.close()
        stream.close()


def _report(report: CycleReport) -> None:
    if report.moved or report.built:
        LOG.info(
            "generation %d: frontier moved %s, %d records, views built: %s, drift rows: %d",
            report.generation,
            report.moved,
            report.records,
            ", ".join(report.built) or "none",
            report.drift_rows,
        )
