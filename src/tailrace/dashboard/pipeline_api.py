"""`/v1/pipeline`, `/metrics`, `/healthz`, `/readyz`: the lambda made visible."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tailrace import __version__
from tailrace.dashboard.access import grants_of, readable_views
from tailrace.dashboard.dead_letters_api import placed
from tailrace.dashboard.encode import json_response, known_parameters
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Unavailable
from tailrace.model.sequence import sequence_number
from tailrace.model.shard import Shard
from tailrace.model.window import iso
from tailrace.runtime.disk import disk_use
from tailrace.serving.ledger import ledger
from tailrace.serving.pin import Pinned
from tailrace.stream.base import seal_of
from tailrace.stream.dead_letters import DeadLetter
from tailrace.telemetry.registry import render

RAW_BYTES_SHOWN = 2_000
RATE_WINDOW_US = 10_000_000
SILENT_S_MAX = 30
"""A step takes milliseconds; after so long something holds it."""


async def pipeline(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())
    grants = grants_of(request)

    def answer() -> dict[str, Any]:
        state = _pipeline(services)
        views = readable_views(grants, services.pinned(), services.follower.catalog.state)
        if views is not None:
            return _narrowed(state, views)
        recent = services.newest_letters.of(state["dead_letters"]["count"])
        state["dead_letters"]["recent"] = [_dead_letter_row(letter) for letter in recent]
        return state

    return json_response(await asyncio.to_thread(answer))


def _narrowed(state: dict[str, Any], views: set[str]) -> dict[str, Any]:
    """For who may read some streams alone: how the node is, without lines of others and what their views found."""
    return {
        **state,
        "views": [row for row in state["views"] if row["name"] in views],
        "findings": [row for row in state["findings"] if row["view"] in views],
        "dead_letters": {**state["dead_letters"], "recent": []},
    }


async def metrics(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    text = await asyncio.to_thread(lambda: render_metrics(_pipeline(services)) + render(services.metrics.snapshot()))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Ready once every shipped view answers, and as long as the speed layer moves."""
    services: NodeServices = request.app.state.services
    pinned = services.pinned()
    missing = services.follower.catalog.state.shipped - pinned.views.keys()
    if missing:
        raise Unavailable(f"views are being built: {', '.join(sorted(missing))}", hint="ask again in a second")
    silent_s = services.follower.silent_s()
    if silent_s > SILENT_S_MAX:
        raise Unavailable(
            f"the speed layer has not moved for {silent_s:.0f} s",
            hint="see run/node.log in the data folder; restart the node",
        )
    return PlainTextResponse("ready\n")


def _pipeline(services: NodeServices) -> dict[str, Any]:
    pinned = services.pinned()
    now_us = services.clock.now_us()
    book = ledger(services.stream, pinned)
    problem = services.follower.problem
    shards = [_shard_row(services, pinned, shard, now_us) for shard in services.stream.shards()]
    return {
        "node": {
            "version": __version__,
            "started_at": iso(services.started_us),
            "uptime_s": (now_us - services.started_us) // 1_000_000,
            "now": iso(now_us),
            "problem": problem.as_json()["error"] if problem else None,
        },
        "generation": pinned.manifest.generation,
        "frontier": pinned.frontier(),
        "frontier_age_s": max((shard["frontier_age_s"] for shard in shards), default=0.0),
        "complete_through": _complete_through(pinned),
        "newest_event_at": iso(pinned.speed.newest_event_us) if pinned.speed.newest_event_us else None,
        "shards": shards,
        "lake": {
            "rows": sum(pinned.manifest.lake.rows.values()),
            "files": pinned.manifest.lake.files,
            "bytes": pinned.manifest.lake.bytes,
            "let_go_rows": sum(pinned.manifest.lake.let_go.values()),
            "snapshot": str(pinned.manifest.lake.snapshot_id) if pinned.manifest.lake.snapshot_id else None,
        },
        "disk": _disk(services),
        "views": [_view_row(pinned, name) for name in sorted(pinned.views)],
        "ledger": book,
        "dead_letters": {"count": book["dead_lettered"]},
        "findings": [
            {
                "view": f.view,
                "shard": f.shard,
                "epoch_first": f.epoch_first,
                "epoch_last": f.epoch_last,
                "differing_rows": f.differing_rows,
                "found_at": iso(f.found_us),
                "sample": f.sample,
                "acknowledged": f.acknowledged,
            }
            for f in services.store.findings()[:20]
        ],
        "processes": [{"role": p.role, "pid": p.pid, "rss_bytes": _rss_bytes(p.pid)} for p in services.processes()],
    }


def _disk(services: NodeServices) -> dict[str, Any]:
    """`full`: posts are refused with 429 until there is room."""
    use = disk_use(services.settings.data_dir)
    full = services.settings.ingest.is_full(use)
    return {"used_percent": round(use.percent, 1), "free_bytes": use.free, "full": full}


def _shard_row(services: NodeServices, pinned: Pinned, shard: Shard, now_us: int) -> dict[str, Any]:
    end = services.stream.end(shard.id)
    seals = [] if shard.closed else services.stream.seals(shard.id, max(0, end.open_epoch - 4))
    read_to = pinned.speed.read_offsets.get(shard.id, 0)
    frontier = pinned.covered(shard)
    above = [] if shard.ends_at(frontier) else services.stream.seals(shard.id, frontier)
    batch_to = (
        above[0].first_offset if above else end.next_offset - end.open_counts.stored - end.open_counts.dead_lettered
    )
    recent = [s for s in seals if s.sealed_at_us > now_us - RATE_WINDOW_US]
    span_us = now_us - min(
        (s.sealed_at_us for s in seals if s not in recent),
        default=max(services.started_us, shard.created_s * 1_000_000),
    )
    fresh = (
        sum(s.counts.stored + s.counts.dead_lettered for s in recent)
        + end.open_counts.stored
        + end.open_counts.dead_lettered
    )
    return {
        "id": shard.id,
        "state": "closed" if shard.closed else "open",
        "position": sequence_number(shard, end.next_offset - 1) if end.next_offset else None,
        "lines": end.next_offset,
        "bytes": end.bytes,
        "lines_per_s": round(fresh / max(span_us / 1e6, 1.0), 1),
        "open_epoch": end.open_epoch,
        "sealed_epoch": seals[-1].epoch if seals else end.open_epoch - 1,
        "frontier_epoch": frontier,
        "frontier_age_s": _age_s(services, shard, frontier, now_us) if end.next_offset > batch_to else 0.0,
        "speed_lag_lines": max(0, end.next_offset - read_to),
        "batch_lag_lines": max(0, end.next_offset - batch_to),
    }


def _age_s(services: NodeServices, shard: Shard, frontier: int, now_us: int) -> float:
    """How long ago the frontier's epoch was sealed, or where there is none, the shard begun: lines since then stand on speed alone."""
    seal = seal_of(services.stream, shard.id, frontier)
    since_us = seal.sealed_at_us if seal else shard.created_s * 1_000_000
    return round(max(0, now_us - since_us) / 1e6, 1)


def _complete_through(pinned: Pinned) -> str | None:
    """Of the view that is furthest behind: one that nobody looks at may wait until its epoch is sealed."""
    times = [pinned.speed.of(view.version).complete_through_us for view in pinned.views.values()]
    known = [time for time in times if time is not None]
    return iso(min(known)) if known and len(known) == len(times) else None


def _view_row(pinned: Pinned, name: str) -> dict[str, Any]:
    states = pinned.manifest.views[name]
    return {
        "name": name,
        "version": states.version,
        "status": "live" if states.version in pinned.speed.versions else "catching up",
        "drift_rows": pinned.drift_rows.get(states.version, 0),
        "batch_only": pinned.speed.of(states.version).batch_only,
        "unchecked_epochs": states.unchecked,
        "segments": len(states.segments),
        "state_rows": sum(level.rows for s in states.segments for level in s.levels()),
        "state_bytes": sum(s.total_bytes for s in states.segments),
    }


def _dead_letter_row(letter: DeadLetter) -> dict[str, Any]:
    return {
        **placed(letter),
        "raw": letter.raw[:RAW_BYTES_SHOWN].decode("utf-8", "backslashreplace"),
        "raw_bytes": len(letter.raw),
    }


def _rss_bytes(pid: int) -> int | None:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * 4096


def render_metrics(state: dict[str, Any]) -> str:
    """Prometheus text format 0.0.4, from the value of `/v1/pipeline`. Counters are those of the ledger, so they survive restarts."""
    lines: list[str] = []

    def metric(name: str, kind: str, about: str, samples: list[tuple[str, Any]]) -> None:
        lines.append(f"# HELP {name} {about}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value}" for labels, value in samples)

    book = state["ledger"]
    for field in ("received", "stored", "dead_lettered", "deduplicated"):
        metric(
            f"tailrace_stream_{field}_lines_total", "counter", f"Lines {field.replace('_', ' ')}.", [("", book[field])]
        )
    metric(
        "tailrace_ledger_balanced",
        "gauge",
        "1 if every stage holds what the stream stored, and the lake gives back the same records.",
        [("", int(book["balanced"]))],
    )
    stages = [(f'{{stage="{stage}"}}', book[stage]) for stage in ("speed", "lake", "batch")]
    metric("tailrace_ledger_stage_lines", "gauge", "Records that a stage holds, or has held.", stages)
    metric(
        "tailrace_frontier_age_seconds",
        "gauge",
        "Since the frontier's epoch was sealed, of the shard that is furthest behind; 0 if batch covers every line.",
        [("", state["frontier_age_s"])],
    )
    states = [shard["state"] for shard in state["shards"]]
    counts = [(f'{{state="{name}"}}', states.count(name)) for name in ("open", "closed")]
    metric("tailrace_shards", "gauge", "Shards of the stream.", counts)
    # Closed shards grow in number for ever; what is done with has nothing more to tell.
    telling = [s for s in state["shards"] if s["state"] == "open" or s["speed_lag_lines"] or s["batch_lag_lines"]]
    shards = [(f'{{shard="{s["id"]}"}}', s) for s in telling]
    for field, about in (
        ("speed_lag_lines", "Lines in the stream that the speed layer has not read."),
        ("batch_lag_lines", "Lines in the stream above the frontier."),
        ("open_epoch", "Epoch that is open now."),
        ("frontier_epoch", "Last epoch that batch covers."),
    ):
        metric(f"tailrace_shard_{field}", "gauge", about, [(labels, s[field]) for labels, s in shards])
    metric("tailrace_shard_bytes", "gauge", "Bytes of a shard on disk.", [(labels, s["bytes"]) for labels, s in shards])
    views = [(f'{{view="{v["name"]}"}}', v) for v in state["views"]]
    metric(
        "tailrace_view_drift_rows",
        "gauge",
        "State rows on which speed and batch differ.",
        [(k, v["drift_rows"]) for k, v in views],
    )
    metric(
        "tailrace_view_batch_only",
        "gauge",
        "1 while a view has more keys than the speed layer holds, and batch alone answers.",
        [(k, int(v["batch_only"])) for k, v in views],
    )
    metric(
        "tailrace_view_unchecked_epochs",
        "counter",
        "Epochs of which batch had no states of speed to compare with.",
        [(k, v["unchecked_epochs"]) for k, v in views],
    )
    metric(
        "tailrace_view_state_rows", "gauge", "State rows in batch segments.", [(k, v["state_rows"]) for k, v in views]
    )
    metric("tailrace_lake_rows", "gauge", "Records in the lake.", [("", state["lake"]["rows"])])
    metric("tailrace_lake_bytes", "gauge", "Bytes of the lake's data files.", [("", state["lake"]["bytes"])])
    disk = state["disk"]
    metric("tailrace_disk_used_ratio", "gauge", "Part of the disk that is used.", [("", disk["used_percent"] / 100)])
    metric("tailrace_disk_free_bytes", "gauge", "Bytes that may still be written.", [("", disk["free_bytes"])])
    metric("tailrace_disk_full", "gauge", "1 while posts are refused for want of room.", [("", int(disk["full"]))])
    processes = [(f'{{role="{p["role"]}"}}', p["rss_bytes"] or 0) for p in state["processes"]]
    metric("tailrace_process_resident_bytes", "gauge", "Resident memory of a process.", processes)
    return "\n".join(lines) + "\n"
