"""The pieces of the benchmark, one after another, each printed when it is done."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailrace.bench import cost, held, history, produce, profile, queries, report, restart, ship, visible

WATCHED_RUNS_MAX = 2
KINESIS_CONNECTIONS = 10
"""As many as ten processes of boto3 have; requests that come in together are served together."""
HISTORY = ((20, 200_000), (20, 2_000_000), (20, 20_000_000), (10_000, 2_000_000))
"""Endpoints, lines: the same questions over ten and a hundred times the lines, and over many endpoints."""


@dataclass(frozen=True, slots=True)
class Options:
    """`runs`: of cost, visible and restart. `lines`: of one cost, profile or queries run. `rate`: of held; 0: as fast as it goes.

    `folder`: where data folders are made (None: the system's).
    """

    runs: int = 5
    lines: int = 2_000_000
    connections: int = 3
    probes: int = 200
    seconds: float = 600
    rate: float = 300_000
    keys_rate: float = 50_000
    keys: int = 1_000_000
    restart_lines: int = 57_600_000
    folder: Path | None = None


def _cost(options: Options) -> list[cost.Cost]:
    """CPU, memory and disk of a million lines, from the first post until views and lake hold them"""
    runs = []
    for number in range(options.runs):
        runs.append(cost.measure(options.lines, options.connections, options.folder))
        cpu_s, rate = runs[-1].cpu_per_million, runs[-1].lines_per_s
        say(f"run {number + 1}: {cpu_s:.2f} CPU s / M lines, {rate:,.0f} lines/s to the views")
    print(report.table(report.cost_rows(runs)))
    print()
    print(report.split(runs), flush=True)
    return runs


def _kinesis(options: Options) -> list[cost.Cost]:
    """the same by PutRecords of 500 records, bodies as boto3 writes them, over ten connections, through the Kinesis API"""
    runs = []
    for number in range(options.runs):
        runs.append(cost.measure(options.lines, KINESIS_CONNECTIONS, options.folder, loader="kinesis_load"))
        rate = runs[-1].load.lines / runs[-1].load.seconds
        say(f"run {number + 1}: {runs[-1].cpu_per_million:.2f} CPU s / M records, {rate:,.0f} records/s acknowledged")
    print(report.table(report.kinesis_rows(runs)))
    print()
    print(report.split(runs), flush=True)
    return runs


def _watched(options: Options) -> list[cost.Cost]:
    """the same, with a dashboard open all the time"""
    count = min(options.runs, WATCHED_RUNS_MAX)
    runs = [cost.measure(options.lines, options.connections, options.folder, watched=True) for _ in range(count)]
    print(report.table(report.watched_rows(runs)))
    print()
    print(report.split(runs), flush=True)
    return runs


def _visible(options: Options) -> list[visible.Visible]:
    """milliseconds from an acknowledgement until the view shows it: light load, then 50,000 lines a second"""
    found = []
    for rate in (visible.LIGHT_LINES_PER_S, visible.BUSY_LINES_PER_S):
        runs = visible.measure(options.runs, options.probes, options.folder, rate)
        say(f"beside {rate:,} lines a second")
        print(report.table(report.visible_rows(runs)), flush=True)
        found += runs
    return found


def _held(options: Options) -> list[held.Held]:
    """lines a second held through to the views for ten minutes, compaction running"""
    run = held.measure(options.seconds, options.connections, options.rate, options.folder)
    return _print_held(run)


def _keys(options: Options) -> list[held.Held]:
    """memory at 50,000 lines a second for ten minutes, with one view of a million keys an hour"""
    run = held.measure(options.seconds, options.connections, options.keys_rate, options.folder, keys=options.keys)
    return _print_held(run)


def _print_held(run: held.Held) -> list[held.Held]:
    print("   at s    lines/s      visible  speed lag  batch lag  segments   PSS MiB")
    before = held.Sample(0.0, 0, 0, 0, 0, 0)
    for sample in run.samples[4 :: max(5, len(run.samples) // 20)]:
        rate = (sample.visible - before.visible) / (sample.at_s - before.at_s)
        print(
            f"{sample.at_s:7.0f} {rate:10,.0f} {sample.visible:12,} {sample.speed_lag:10,} {sample.batch_lag:10,}"
            f" {sample.segments:9} {sample.pss_bytes >> 20:9,}"
        )
        before = sample
    print(report.table(report.held_rows([run])), flush=True)
    return [run]


def _queries(options: Options) -> list[Any]:
    """SQL over the raw lines: an average, the busiest addresses, a word of seven lines, one trace"""
    found = queries.measure(options.lines, options.folder)
    print(report.table(report.asked_rows(found)), flush=True)
    return found


def _history(options: Options) -> list[history.History]:
    """a view over 30 days in 240 and in 120 points, over ten and a hundred times the lines, and over 10,000 keys"""
    found = []
    for endpoints, lines in HISTORY:
        found.append(history.measure(lines, endpoints, options.folder))
        say(f"{lines:,} lines of {endpoints:,} endpoints over {history.DAYS} days")
        print(report.table(report.asked_rows(found[-1].asked)), flush=True)
    return found


def _restart(options: Options) -> list[restart.Restart]:
    """seconds from kill -9 of all processes until the node answers, with an hour of 16,000 lines a second behind it"""
    run = restart.measure(options.restart_lines, options.folder)
    print(report.table(report.restart_rows([run])), flush=True)
    return [run]


def _ship(options: Options) -> list[ship.Ship]:
    """lines a second from a log file into the node, by `tailrace ship`"""
    runs = [ship.measure(options.lines, options.folder) for _ in range(options.runs)]
    print(report.table(report.ship_rows(runs)), flush=True)
    return runs


def _produce(options: Options) -> list[produce.Produced]:
    """lines a second that one process of `tailrace produce` makes and sends: to a server that counts them, and to a node"""
    found = produce.measure(options.runs, options.lines, options.folder)
    print(report.table(report.produce_rows(found)), flush=True)
    return found


def _profile(options: Options) -> list[profile.Profile]:
    """where the CPU goes, by thread and by line of Python"""
    found = profile.measure(options.lines, options.connections, options.folder)
    print(report.split([found.run]))
    print()
    print(profile.render(found), flush=True)
    return [found]


PIECES: dict[str, Callable[[Options], list[Any]]] = {
    "cost": _cost,
    "kinesis": _kinesis,
    "watched": _watched,
    "visible": _visible,
    "held": _held,
    "keys": _keys,
    "queries": _queries,
    "history": _history,
    "restart": _restart,
    "ship": _ship,
    "produce": _produce,
    "profile": _profile,
}
DEFAULT = tuple(name for name in PIECES if name != "profile")


def run(pieces: tuple[str, ...], options: Options) -> dict[str, Any]:
    """Runs and prints the pieces (none: all but the profile). Returns every figure of every run, for JSON."""
    found: dict[str, Any] = {"machine": report.machine(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    print(found["machine"], flush=True)
    for name in pieces or DEFAULT:
        say(f"\n== {name}: {(PIECES[name].__doc__ or '').strip()}")
        found[name] = [dataclasses.asdict(figure) for figure in PIECES[name](options)]
    print(f"\n{report.PEERS}")
    return found


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)
