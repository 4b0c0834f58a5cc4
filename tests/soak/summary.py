"""The figures of a soak, and how they are told."""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.testing.load.senders import Senders
from tailrace.testing.node import RunningNode
from tests.soak.injector import Happened
from tests.soak.samples import Sample, growth

MIB = 1 << 20
LOGGED_SHOWN = 10


def load_figures(senders: Senders, seconds: float) -> dict[str, object]:
    counts, plan = senders.counts(), senders.plan
    lines = counts["posts"] * plan.lines_per_post
    return {
        "lines": lines,
        "lines_per_s": round(lines / max(seconds, 0.001)),
        "posts_resent": counts["resent"],
        "attempts_repeated": counts["repeated"],
        "lines_deduplicated": counts["deduplicated"],
    }


def ended_well(node: RunningNode) -> list[str]:
    """Ends the node as Ctrl-C does."""
    code = node.stop()
    return [] if code == 0 else [f"the node ended with {code}: {node.log_end(10)}"]


def logged(node: RunningNode) -> dict[str, object]:
    """What its processes called an error, or died of, as far as their logs reach back. No fault by itself: some were killed at it."""
    paths = [node.log_path, *sorted((node.data_dir / "run").glob("*.log*"))]
    found = [
        f"{path.name}: {line.strip()[:300]}"
        for path in paths
        for line in path.read_text(errors="replace").splitlines()
        if " ERROR " in line or line.startswith("Traceback")
    ]
    return {"count": len(found), "first": found[:LOGGED_SHOWN]}


def figures(
    options: argparse.Namespace, samples: Sequence[Sample], happened: Sequence[Happened], wrong: Sequence[str]
) -> dict[str, Any]:
    kinds = Counter(each.kind for each in happened)
    return {
        "minutes": options.minutes,
        "rate": options.rate,
        "users": options.users,
        "senders": options.senders,
        "seed": options.seed,
        "kills": dict(sorted(Counter(each.what for each in happened if each.kind == "kill").items())),
        **{f"{name}s": kinds[name] for name in ("split", "merge", "check")},
        "clock_steps": kinds["clock"],
        "kills_waited_s": round(sum(each.until_s - each.at_s for each in happened if each.kind == "breath"), 1),
        "disk_full_s": round(sum(each.until_s - each.at_s for each in happened if each.kind == "disk"), 1),
        "speed_lag_lines": _spread([s.speed_lag for s in samples]),
        "batch_lag_lines": _spread([s.batch_lag for s in samples]),
        "unanswered_share": round(sum(s.batch_lag is None for s in samples) / max(len(samples), 1), 3),
        "memory_mib": {
            role: {
                "early": early // MIB,
                "late": late // MIB,
                "most": max(s.memory.get(role, 0) for s in samples) // MIB,
            }
            for role, (early, late) in growth(samples).items()
        },
        "memory_most_mib": max((sum(s.memory.values()) for s in samples), default=0) // MIB,
        "disk_mib": {name: size // MIB for name, size in samples[-1].disk.items()} if samples else {},
        "wrong": list(wrong),
    }


def _spread(values: Sequence[int | None]) -> dict[str, int]:
    known = [value for value in values if value is not None]
    return {"median": int(statistics.median(known)), "most": max(known)} if known else {}


def text(found: Mapping[str, Any]) -> str:
    lines = [f"{name.replace('_', ' ')}: {_said(value)}" for name, value in found.items() if name != "wrong"]
    wrong = found["wrong"]
    verdict = "every number is right" if not wrong else "\n".join([f"{len(wrong)} things are wrong:", *wrong])
    return "\n".join([*lines, verdict])


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
