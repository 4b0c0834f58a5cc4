"""Measure a real node with default settings on this machine. The loader is a process on the same cores.

python -m benchmarks.run                      cost (5 runs), visible (5 runs), held (1 run of 3 minutes)
python -m benchmarks.run cost --lines 1000000 --runs 1
python -m benchmarks.run held --seconds 60
python -m benchmarks.run profile              where the CPU goes
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import cost, held, profile, report, visible

PIECES = ("cost", "watched", "visible", "held", "profile")
DEFAULT = ("cost", "watched", "visible", "held")
WATCHED_RUNS_MAX = 2


def main() -> int:
    options = arguments()
    # As Ctrl-C does: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    found: dict[str, Any] = {"machine": report.machine(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    print(found["machine"], flush=True)
    for piece in options.pieces or DEFAULT:
        say(f"\n== {piece}")
        found[piece] = {"cost": _cost, "watched": _watched, "visible": _visible, "held": _held, "profile": _profile}[
            piece
        ](options)
    print(f"\n{report.PEERS}")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0


def _cost(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs = []
    for number in range(options.runs):
        runs.append(cost.measure(options.lines, options.connections, options.folder))
        say(
            f"run {number + 1}: {runs[-1].cpu_per_million:.2f} CPU s / M lines, {runs[-1].lines_per_s:,.0f} lines/s to the views"
        )
    print(report.table(report.cost_rows(runs)))
    print()
    print(report.split(runs), flush=True)
    return [dataclasses.asdict(run) for run in runs]


def _watched(options: argparse.Namespace) -> list[dict[str, Any]]:
    count = min(options.runs, WATCHED_RUNS_MAX)
    runs = [cost.measure(options.lines, options.connections, options.folder, watched=True) for _ in range(count)]
    print(report.table(report.watched_rows(runs)))
    print()
    print(report.split(runs), flush=True)
    return [dataclasses.asdict(run) for run in runs]


def _visible(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs = visible.measure(options.runs, options.probes, options.folder)
    print(report.table(report.visible_rows(runs)), flush=True)
    return [dataclasses.asdict(run) for run in runs]


def _held(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs = []
    for _ in range(options.held_runs):
        runs.append(held.measure(options.seconds, options.connections, options.rate, options.folder))
        print("   at s    lines/s      visible  speed lag  batch lag  segments")
        before = held.Sample(0.0, 0, 0, 0, 0)
        for sample in runs[-1].samples[4::5]:
            rate = (sample.visible - before.visible) / (sample.at_s - before.at_s)
            print(
                f"{sample.at_s:7.0f} {rate:10,.0f} {sample.visible:12,} {sample.speed_lag:10,} {sample.batch_lag:10,}"
                f" {sample.segments:9}"
            )
            before = sample
    print(report.table(report.held_rows(runs)), flush=True)
    return [dataclasses.asdict(run) for run in runs]


def _profile(options: argparse.Namespace) -> dict[str, Any]:
    found = profile.measure(options.lines, options.connections, options.folder)
    print(report.split([found.run]))
    print()
    print(profile.render(found), flush=True)
    return dataclasses.asdict(found)


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}; default: {', '.join(DEFAULT)}"
    )
    parser.add_argument("--runs", type=int, default=5, help="of cost and visible")
    parser.add_argument("--lines", type=int, default=2_000_000, help="of one cost or profile run")
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--probes", type=int, default=200, help="of one visible run")
    parser.add_argument("--seconds", type=float, default=180, help="of one held run")
    parser.add_argument("--held-runs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=260_000, help="lines a second in held; 0: as fast as it goes")
    parser.add_argument("--folder", type=Path, default=None, help="where data folders are made; default: the system's")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run there")
    options = parser.parse_args()
    unknown = set(options.pieces) - set(PIECES)
    if unknown:
        parser.error(f"unknown piece {', '.join(sorted(unknown))}; there are {', '.join(PIECES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
