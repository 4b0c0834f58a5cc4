"""Where the CPU goes: one cost run with a sampling profiler in each process, as tables of threads and of Python functions."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tailrace.bench import cost
from tailrace.bench.processes import SUPERVISOR, ThreadCpu

SAMPLING = Path(__file__).with_name("sampling")
THREADS_SHOWN = 24
FUNCTIONS_SHOWN = 22
OURS = ("tailrace.",)


@dataclass(frozen=True, slots=True)
class Profile:
    """`roles`: role -> rows (thread, stack with the innermost first, CPU seconds), summed over its processes."""

    run: cost.Cost
    roles: dict[str, list[tuple[str, tuple[str, ...], float]]]


def measure(lines: int, connections: int, parent: Path | None) -> Profile:
    """From the first post on. The profiler costs some 5 % itself: read shares, not sums."""
    with tempfile.TemporaryDirectory(prefix="tailrace-profile-", dir=parent) as folder:
        env = {"BENCH_PROFILE_DIR": folder, "PYTHONPATH": str(SAMPLING)}
        run = cost.measure(lines, connections, parent, env, (Path(folder) / "begin").touch)
        roles: dict[str, list[tuple[str, tuple[str, ...], float]]] = defaultdict(list)
        for path in sorted(Path(folder).glob("*.json")):
            found = json.loads(path.read_bytes())
            for row in found["rows"]:
                roles[_role(found["argv"])].append((row["thread"], tuple(row["stack"]), row["cpu_s"]))
    return Profile(run, dict(roles))


def _role(argv: list[str]) -> str:
    module = "tailrace.pipeline.main"
    if module in argv and argv.index(module) + 1 < len(argv):
        return argv[argv.index(module) + 1]
    return SUPERVISOR if "tailrace.cli.main" in argv else "other"


def render(profile: Profile) -> str:
    parts = [_threads(profile.run.threads)]
    for role, rows in sorted(profile.roles.items(), key=lambda item: -sum(r[2] for r in item[1])):
        total = sum(cpu_s for _, _, cpu_s in rows)
        parts.append(f"\n{role}: {total:.2f} s of CPU in Python threads")
        parts.append(_table("by thread", _sum((thread, s) for thread, _, s in rows), total))
        parts.append(
            _table(
                "by the line of ours that was running or had called out", _sum((_ours(k), s) for _, k, s in rows), total
            )
        )
        parts.append(_table("by innermost line", _sum((k[0], s) for _, k, s in rows), total))
    return "\n".join(parts)


def _ours(stack: tuple[str, ...]) -> str:
    """The innermost frame of Tailrace, with the foreign line it waits in, if any."""
    for at, frame in enumerate(stack):
        if frame.startswith(OURS):
            return frame if at == 0 else f"{frame}  <- {stack[0]}"
    return stack[0]


def _sum(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for name, value in pairs:
        sums[name] += value
    return sums


def _table(title: str, sums: dict[str, float], total: float) -> str:
    rows = sorted(sums.items(), key=lambda item: -item[1])[:FUNCTIONS_SHOWN]
    lines = [f"  {cpu_s:8.3f} s {100 * cpu_s / total:5.1f} %  {name}" for name, cpu_s in rows if cpu_s > total / 1000]
    return "\n".join([f" {title}", *lines])


def _threads(threads: list[ThreadCpu]) -> str:
    """The kernel's view, native threads included."""
    rows = sorted(threads, key=lambda t: -t.cpu_s)[:THREADS_SHOWN]
    return "\n".join(
        [
            "threads, native ones included",
            *(f"  {t.cpu_s:8.2f} s  {t.role:<11} {t.name} ({t.pid}/{t.tid})" for t in rows),
        ]
    )
