"""Run the fuzzer on all targets, or on those that are named, and print a table: `make fuzz ARGS='--seconds 600 --target json'`.

Each target hunts in a process of its own, its share of the seconds. What it has come to is kept in `.fuzz/TARGET`, so that the next
run goes on from there. Exit code 1 if anything was found; a finding is a file, and how to try it again stands below the table.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".fuzz"
HTTP = "http"
GRACE_S = 120
"""To start, to read the corpus, and to end the last input."""


@dataclass(frozen=True)
class Hunt:
    """What came of a target. `features`: edges of the source that were reached, counted with how often. `findings`: files."""

    name: str
    executions: int
    edges: int
    features: int
    findings: list[Path]
    ended_well: bool
    said: str


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="in all, for the targets together (default 600)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be said again")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="targets at once")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; 0: by the clock")
    options = parser.parse_args(arguments)
    chosen = options.target or list(TARGETS)
    jobs = min(options.jobs, len(chosen))
    seconds = max(1, options.seconds * jobs // len(chosen))
    print(
        f"fuzz: {len(chosen)} targets, {seconds} s each, {jobs} at once; what they come to is kept in {KEPT}",
        flush=True,
    )
    with ThreadPoolExecutor(jobs) as pool:
        hunts = list(pool.map(lambda name: hunt(name, seconds, options.seed), chosen))
    if not options.target:
        hunts.append(ask(max(30, options.seconds // 10), options.seed))
    print(table(hunts))
    for each in hunts:
        print(told(each), end="")
    return int(any(each.findings or not each.ended_well for each in hunts))


def hunt(name: str, seconds: int, seed: int) -> Hunt:
    folder = KEPT / name
    before = set(findings(folder))
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.hunt",
        name,
        str(folder),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
    ]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=seconds + GRACE_S, check=False)
        said, code = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as error:
        said, code = (error.stderr or b"").decode(errors="replace") + "\nit did not end", -1
    new = [path for path in findings(folder) if path not in before]
    result = Hunt(name, *counts(said), new, code == 0, said)
    print(
        f"fuzz: {name}: {result.executions:,} executions, {len(new)} findings{'' if code == 0 else ', it broke off'}",
        flush=True,
    )
    return result


def ask(seconds: int, seed: int) -> Hunt:
    """The HTTP surface of a running node, asked for so long. Every failure is a finding; it is told, not kept."""
    command = [sys.executable, "-m", "tests.fuzz.http", str(seconds), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    counted = re.search(r"^(\d+) requests", said, re.MULTILINE)
    print(f"fuzz: {HTTP}: {counted[0] if counted else 'it broke off'}", flush=True)
    return Hunt(HTTP, int(counted[1]) if counted else 0, 0, 0, [], done.returncode == 0, said)


def about(name: str) -> str:
    return "a running node, held against its OpenAPI document" if name == HTTP else TARGETS[name].about


def findings(folder: Path) -> list[Path]:
    return sorted((folder / "findings").glob("*")) if folder.is_dir() else []


def counts(said: str) -> tuple[int, int, int]:
    """Executions, edges and features from what libFuzzer prints."""
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    lines = re.findall(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+)", said, re.MULTILINE)
    last = lines[-1] if lines else ("0", "0", "0")
    return int(executed[1]) if executed else int(last[0]), int(last[1]), int(last[2])


def table(hunts: list[Hunt]) -> str:
    """In Markdown, as it stands in docs/correctness.md."""
    rows = [
        f"| `{h.name}` | {about(h.name)} | {h.executions:,} | {h.edges:,} | {h.features:,} | {len(h.findings)} |"
        for h in hunts
    ]
    total = f"| all | | {sum(h.executions for h in hunts):,} | | | {sum(len(h.findings) for h in hunts)} |"
    return "\n".join(
        ["| target | what | executions | edges | features | findings |", "|---|---|---|---|---|---|", *rows, total]
    )


def told(hunt: Hunt) -> str:
    """What is to be done about a target that did not end well."""
    if hunt.ended_well:
        return ""
    tries = "".join(
        f"  try it again: python -m tests.fuzz.hunt {hunt.name} .fuzz/{hunt.name} {path}\n" for path in hunt.findings
    )
    raised = re.findall(r"=== Uncaught Python exception: ===\n(.*(?:\n.*){0,40})", hunt.said)
    return f"\n{hunt.name} broke off:\n{raised[0] if raised else hunt.said[-2000:]}\n{tries}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
