"""The data folder: shards without gaps, a manifest whose files exist, a lake that reaches the frontier, views that compile."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise

from tailrace.batch.lake.reader import IcebergReader
from tailrace.config.settings import Settings
from tailrace.errors import Corrupt, GapFound
from tailrace.model.shard import Shard
from tailrace.pipeline.checkup.finding import FAIL, OK, WARN, Finding
from tailrace.runtime.clock import Clock
from tailrace.runtime.storage_errors import translated
from tailrace.serving.catalog import Catalog
from tailrace.states.manifest import Manifest, ManifestStore
from tailrace.stream.backends.embedded import open_embedded
from tailrace.stream.base import EpochSeal, ReadRequest, StreamBackend

EMPTY = "nothing stored yet"


def views(settings: Settings) -> Finding:
    """Every file of the views folder compiles."""
    if not settings.views_dir.is_dir():
        return Finding("views", OK, f"no folder {settings.views_dir}: the shipped views only")
    catalog = Catalog(settings.views_dir, settings.fields)
    catalog.look()
    problems = catalog.state.problems
    if problems:
        detail = "; ".join(f"{p.path}: {p.message}" for p in problems)
        return Finding("views", WARN, detail, f"tailrace views check {settings.views_dir / problems[0].path}")
    return Finding("views", OK, f"{len(catalog.state.views)} compile, {len(catalog.state.shipped)} of them shipped")


def stream(settings: Settings, clock: Clock, *, deep: bool) -> Finding:
    """Each shard's offsets and epochs follow each other without a hole, up to where a closed one ended; `deep` also decodes every block.

    Raises GapFound or Corrupt at the first damage.
    """
    if not (settings.stream_dir / "shards.json").exists():
        return Finding("stream", OK, EMPTY)
    opened = open_embedded(settings.stream_dir, settings.stream, settings.fields, clock, read_only=True)
    try:
        lines = sum(_check_shard(opened, shard, deep=deep) for shard in opened.shards())
        size = sum(opened.end(shard.id).bytes for shard in opened.shards())
        closed = sum(shard.closed for shard in opened.shards())
        count = f"{len(opened.shards()) - closed} shards" + (f" and {closed} closed ones" if closed else "")
    finally:
        opened.close()
    how = "every block read" if deep else "block by block; --deep also reads what is in them"
    return Finding("stream", OK, f"{count}, {lines:,} lines, {size / (1 << 20):,.0f} MiB, no gaps ({how})")


def _check_shard(opened: StreamBackend, listed: Shard, *, deep: bool) -> int:
    shard = listed.id
    end = opened.end(shard)
    at = end.earliest_offset
    while at < end.next_offset:
        blocks = opened.read(ReadRequest(shard, at, max_blocks=1024, with_columns=deep, with_raw=deep))
        if not blocks:
            raise GapFound(shard, at, end.next_offset - 1)
        at = blocks[-1].last_offset + 1
    check_seals(shard, opened.seals(shard), end.open_epoch)
    if listed.last_epoch is not None and end.open_epoch != listed.last_epoch + 1:
        raise Corrupt(
            shard, f"it was closed with epoch `{listed.last_epoch}`, and its files end with `{end.open_epoch - 1}`"
        )
    return end.next_offset - end.earliest_offset


def check_seals(shard: str, seals: Sequence[EpochSeal], open_epoch: int) -> None:
    """Raises GapFound unless each sealed epoch begins where the one before ended, and all are below the open one."""
    for before, after in pairwise(seals):
        if after.first_offset != before.last_offset + 1 or after.epoch <= before.epoch:
            raise GapFound(shard, before.last_offset + 1, after.first_offset - 1)
    if seals and seals[-1].epoch >= open_epoch:
        raise GapFound(shard, seals[-1].first_offset, seals[-1].last_offset)


def lake(settings: Settings) -> Finding:
    """The files that the newest snapshot names exist, and it reaches as far as the manifest's frontier."""
    if not settings.lake_dir.exists():
        return Finding("lake", OK, EMPTY)
    reader = IcebergReader(settings.lake_dir)
    try:
        snapshot = reader.current()
    finally:
        reader.close()
    missing = [file.path for file in snapshot.files if not file.path.is_file()]
    if missing:
        return Finding(
            "lake", FAIL, f"{len(missing)} files are missing, first {missing[0]}", "restore them from a backup"
        )
    behind = [shard for shard, epoch in _manifest(settings).frontier.items() if snapshot.mark(shard).epoch < epoch]
    if behind:
        return Finding(
            "lake", FAIL, f"it ends before the frontier: {', '.join(behind)}", "restore the lake folder from a backup"
        )
    totals = snapshot.totals
    return Finding("lake", OK, f"{totals.rows:,} rows in {totals.files} files, {totals.bytes / (1 << 20):,.1f} MiB")


def manifest(settings: Settings) -> Finding:
    """The manifest is a sound database, and the segments that it names exist in their full size."""
    if not settings.manifest_path.exists():
        return Finding("manifest", OK, EMPTY)
    uri = f"{settings.manifest_path.as_uri()}?mode=ro"
    with translated(settings.manifest_path), closing(sqlite3.connect(uri, uri=True)) as connection:
        sound = connection.execute("PRAGMA quick_check").fetchone()[0]
    if sound != "ok":
        return Finding("manifest", FAIL, f"damaged: {sound}", "restore manifest.db from a backup")
    current = _manifest(settings)
    segments = [segment for view in current.standing() for segment in view.segments]
    for segment in segments:
        paths = [settings.states_dir / name for name in segment.paths]
        if (
            not all(path.is_file() for path in paths)
            or sum(path.stat().st_size for path in paths) != segment.total_bytes
        ):
            return Finding(
                "manifest",
                FAIL,
                f"segment {segment.id} of version {segment.version} is missing or cut short",
                "restore the states folder from a backup",
            )
    detail = f"generation {current.generation}, {len(current.views)} views, {len(segments)} segments, all there"
    return Finding("manifest", OK, detail)


def _manifest(settings: Settings) -> Manifest:
    return ManifestStore(settings.manifest_path).current() if settings.manifest_path.exists() else Manifest()
