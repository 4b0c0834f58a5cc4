"""Measurements as text: min, median and max of the runs, the machine they come from, and what others were measured at."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tailrace.bench.asking import Asked
from tailrace.bench.cost import Cost
from tailrace.bench.held import Held
from tailrace.bench.produce import Produced
from tailrace.bench.restart import Restart
from tailrace.bench.ship import Ship
from tailrace.bench.visible import Visible, quantile

PACKAGES = ("duckdb", "pyarrow", "pyiceberg", "uvicorn")
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One figure over the runs. `wish`: what it should be. `peers`: others on a machine of the same kind."""

    name: str
    unit: str
    values: Sequence[float]
    wish: str = ""
    peers: str = ""
    digits: int = 2


def cost_rows(runs: Sequence[Cost]) -> list[Row]:
    return [
        Row(
            "CPU through to views and lake", "s / M lines", [r.cpu_per_million for r in runs], "<= 3.5",
            "VictoriaLogs 1.26.0 7.0-8.0 (at its ack), ClickHouse in process 7.5-7.9, Loki 3.7.8 13.0",
        ),
        Row("  of that, until the last ack", "s / M lines", [r.cpu_acked_per_million for r in runs]),
        Row("CPU of the loader", "s / M lines", [r.load.cpu_s / r.load.lines * 1e6 for r in runs]),
        Row("CPU that others used meanwhile", "s / s", [r.other_cpu for r in runs], "0"),
        Row("yardstick: a fixed computation", "CPU ms", [r.yardstick_ms for r in runs], "the less, the faster", digits=1),
        Row("CPU of the idle node", "s / s", [r.idle_cpu for r in runs], digits=3),
        Row("lines a second, at the ack", "lines/s", [r.load.lines / r.load.seconds for r in runs], digits=0),
        Row(
            "lines a second, through to the views", "lines/s", [r.lines_per_s for r in runs], ">= 300,000 held",
            "VictoriaLogs 250,000 (at its ack), chdb 187,000-217,000, Loki 74,000", 0,
        ),
        Row("post of 10,000 lines -> ack, p50", "ms", [r.load.ack_p50_ms for r in runs], "", "VictoriaLogs 65", 0),
        Row("post of 10,000 lines -> ack, p99", "ms", [r.load.ack_p99_ms for r in runs], "", "VictoriaLogs 228", 0),
        Row("first post -> frontier covers all", "s", [r.covered_s for r in runs], digits=1),
        Row(
            "disk of the lake", "bytes / line", [r.per_line(r.lake_bytes) for r in runs], "<= 16",
            "VictoriaLogs 28.6, chdb 30.6", 1,
        ),
        Row("disk of the lake's metadata", "bytes / line", [r.per_line(r.lake_metadata_bytes) for r in runs], digits=1),
        Row("disk of the states", "bytes / line", [r.per_line(r.states_bytes) for r in runs], digits=1),
        Row("disk of the stream", "bytes / line", [r.per_line(r.stream_bytes) for r in runs], "<= 60", digits=1),
        Row(
            "memory of all processes, peak PSS", "GiB", [sum(r.peak_pss_bytes.values()) / GIB for r in runs], "<= 1.5",
            "VictoriaLogs 0.26 RSS, chdb 0.76, Loki 0.63",
        ),
    ]  # fmt: skip


def kinesis_rows(runs: Sequence[Cost]) -> list[Row]:
    return [
        Row("CPU through to views and lake", "s / M records", [r.cpu_per_million for r in runs], "<= 10"),
        Row("  of that, until the last ack", "s / M records", [r.cpu_acked_per_million for r in runs]),
        Row("CPU that others used meanwhile", "s / s", [r.other_cpu for r in runs], "0"),
        Row("yardstick: a fixed computation", "CPU ms", [r.yardstick_ms for r in runs], "the less, the faster", digits=1),
        Row(
            "records a second, at the ack", "records/s", [r.load.lines / r.load.seconds for r in runs], ">= 60,000",
            "moto 3,600, npm kinesis-local 170-1,300", 0,
        ),
        Row("records a second, through to the views", "records/s", [r.lines_per_s for r in runs], digits=0),
        Row("PutRecords of 500 -> ack, p50", "ms", [r.load.ack_p50_ms for r in runs], digits=0),
        Row("PutRecords of 500 -> ack, p99", "ms", [r.load.ack_p99_ms for r in runs], digits=0),
        Row("disk of the stream", "bytes / record", [r.per_line(r.stream_bytes) for r in runs], digits=1),
        Row("memory of all processes, peak PSS", "GiB", [sum(r.peak_pss_bytes.values()) / GIB for r in runs]),
    ]  # fmt: skip


def watched_rows(runs: Sequence[Cost]) -> list[Row]:
    return [
        Row("CPU with a dashboard open all the time", "s / M lines", [r.cpu_per_million for r in runs]),
        Row("CPU that others used meanwhile", "s / s", [r.other_cpu for r in runs], "0"),
        Row("lines a second, through to the views", "lines/s", [r.lines_per_s for r in runs], digits=0),
    ]


def held_rows(runs: Sequence[Held]) -> list[Row]:
    return [
        Row(f"lines a second to the views, held {runs[0].load.seconds:.0f} s", "lines/s", [r.lines_per_s for r in runs],
            ">= 300,000", "VictoriaLogs 250,000 (at its ack)", 0),
        Row("  CPU while held", "s / M lines", [sum(r.cpu_s.values()) / r.load.lines * 1e6 for r in runs]),
        Row("  largest lag of the speed layer", "lines", [max(s.speed_lag for s in r.samples) for r in runs], digits=0),
        Row("  its slope", "lines/s", [r.speed_lag_slope for r in runs], "about 0", digits=0),
        Row("  largest lag of the frontier", "lines", [max(s.batch_lag for s in r.samples) for r in runs], digits=0),
        Row("  its slope", "lines/s", [r.batch_lag_slope for r in runs], "about 0", digits=0),
        Row("  frontier complete after the end", "s", [r.covered_after_s for r in runs], digits=1),
        Row("  refused and repeated posts", "posts", [r.load.retries for r in runs], digits=0),
        Row("  memory of all processes, peak PSS", "GiB", [sum(r.peak_pss_bytes.values()) / GIB for r in runs], "<= 1.5"),
        Row("  its slope after the first third", "MiB / min", [r.pss_slope * 60 / (1 << 20) for r in runs], "about 0", digits=1),
    ]  # fmt: skip


WISHED = {
    "average by endpoint": ("<= 50", "VictoriaLogs, chdb 50"),
    "ten busiest addresses": ("<= 150", "174"),
    "a word": ("<= 50", "VictoriaLogs 14, chdb 29-33"),
    "counts and means": ("<= 50", "scans"),
    "p99": ("<= 250", "scans"),
}


def asked_rows(found: Sequence[Asked]) -> list[Row]:
    """Smallest, median and largest over all times but the first, which has a column of its own."""
    rows = []
    for asked in found:
        wish, peers = next((w for start, w in WISHED.items() if asked.name.startswith(start)), ("", ""))
        rows.append(Row(asked.name, "ms", asked.ms, wish, peers, 0))
        rows.append(Row("  the first time", "ms", [asked.first_ms], digits=0))
    return rows


def restart_rows(runs: Sequence[Restart]) -> list[Row]:
    return [
        Row("kill -9 of all -> ready", "s", [r.ready_s for r in runs], "<= 10", "VictoriaLogs 0.3", 1),
        Row("  lines in the views by then", "million", [r.visible_before / 1e6 for r in runs], digits=1),
    ]


def ship_rows(runs: Sequence[Ship]) -> list[Row]:
    return [
        Row("lines a second from a file to the ack", "lines/s", [r.lines_per_s for r in runs], ">= 300,000", digits=0),
        Row("  CPU of ship, its start included", "s / M lines", [r.cpu_s / r.lines * 1e6 for r in runs]),
        Row("  refused and repeated posts", "posts", [r.retries for r in runs], digits=0),
    ]


def produce_rows(runs: Sequence[Produced]) -> list[Row]:
    rows = []
    for target, wish in (("a server that counts", ">= 250,000"), ("a node", "")):
        own = [run for run in runs if run.target == target]
        rows += [
            Row(f"one process to {target}", "lines/s", [r.lines_per_s for r in own], wish, "", 0),
            Row("  its CPU, start included", "s / M lines", [r.cpu_s / r.lines * 1e6 for r in own]),
            Row("  post of 10,000 lines -> ack, p99", "ms", [r.ack_p99_ms for r in own], digits=0),
        ]
    return rows


def visible_rows(runs: Sequence[Visible]) -> list[Row]:
    return [
        Row("ack -> visible, p50", "ms", [quantile(r.visible_ms, 0.5) for r in runs], "<= 100", "VictoriaLogs 891, Loki 6", 0),
        Row("ack -> visible, p99", "ms", [quantile(r.visible_ms, 0.99) for r in runs], "<= 300", "VictoriaLogs 1,014, Loki 70", 0),
        Row("ack -> visible, max", "ms", [max(r.visible_ms) for r in runs], digits=0),
        Row("one line -> ack, p50", "ms", [quantile(r.ack_ms, 0.5) for r in runs], "", "VictoriaLogs 0.95, Loki 1.6", 1),
        Row("one line -> ack, p99", "ms", [quantile(r.ack_ms, 0.99) for r in runs], "", "VictoriaLogs 5.9, Loki 33", 1),
        Row("one query of the view, p50", "ms", [quantile(r.query_ms, 0.5) for r in runs], digits=1),
    ]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Fixed columns: figure, unit, min, median, max, wish, peers."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}} {'':<13} {'min':>10} {'median':>10} {'max':>10}  {'wished':<16}others, measured elsewhere"]
    for row in rows:
        low, middle, high = min(row.values), statistics.median(row.values), max(row.values)
        numbers = " ".join(f"{value:>10,.{row.digits}f}" for value in (low, middle, high))
        lines.append(f"{row.name:<{width}} {row.unit:<13} {numbers}  {row.wish:<16}{row.peers}".rstrip())
    return "\n".join(lines)


def split(runs: Sequence[Cost]) -> str:
    """CPU by process, median of the runs, and the memory of each at the peak of the last run."""
    roles = sorted({role for r in runs for role in r.cpu_s}, key=lambda role: -runs[-1].cpu_s.get(role, 0.0))
    lines = [f"{'process':<16}{'CPU s / M lines':>16}{'until ack':>12}{'PSS MiB at peak':>18}"]
    for role in roles:
        through = statistics.median(r.cpu_s.get(role, 0.0) / r.load.lines * 1e6 for r in runs)
        acked = statistics.median(r.cpu_acked_s.get(role, 0.0) / r.load.lines * 1e6 for r in runs)
        pss = runs[-1].peak_pss_bytes.get(role, 0) / (1 << 20)
        lines.append(f"{role:<16}{through:>16.2f}{acked:>12.2f}{pss:>18.0f}")
    return "\n".join(lines)


def machine() -> str:
    """One line: cores, processor, memory, kernel, versions."""
    about = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in about.splitlines() if line.startswith("model name")), "?")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{len(os.sched_getaffinity(0))} cores, {model}, {memory_gib:.0f} GiB, Linux {platform.release()}; "
        f"Python {sys.version.split()[0]}, {packages}"
    )


PEERS = """Others: 2 cores (AMD EPYC, KVM), 2,000,000 lines of 201 bytes in posts of 10,000, the loader on the same cores; VictoriaLogs
1.26.0 (July 2025), Loki 3.7.8, chdb 4.4.0 (ClickHouse in process). A shared machine: compare ratios, not absolute figures. Their
CPU is at the last ack or a little later; none of them had by then written two layers, compared them, or fsynced each post."""
