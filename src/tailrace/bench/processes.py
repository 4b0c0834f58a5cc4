"""What the node's processes have used so far, read from /proc: CPU by role and by thread, memory. Linux only."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tailrace.testing.node import descendants

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SUPERVISOR = "supervisor"
ENDED = "ended children"


@dataclass(frozen=True, slots=True)
class ThreadCpu:
    """CPU seconds of one thread so far; `name` as the kernel knows it."""

    role: str
    pid: int
    tid: int
    name: str
    cpu_s: float


def cpu_by_role(supervisor_pid: int) -> dict[str, float]:
    """Role -> CPU seconds of its living processes, plus those of every child that has ended (waited for)."""
    used: dict[str, float] = {}
    for pid in (supervisor_pid, *descendants(supervisor_pid)):
        fields = _stat(Path(f"/proc/{pid}/stat"))
        if fields is None:
            continue
        role = SUPERVISOR if pid == supervisor_pid else role_of(pid)
        used[role] = used.get(role, 0.0) + (int(fields[11]) + int(fields[12])) * _TICK_S
        used[ENDED] = used.get(ENDED, 0.0) + (int(fields[13]) + int(fields[14])) * _TICK_S
    return used


def machine_busy_s() -> float:
    """CPU seconds that the whole machine has been busy since it started, time stolen by its host included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * _TICK_S


def cpu_by_thread(supervisor_pid: int) -> list[ThreadCpu]:
    """Every living thread of every process."""
    found = []
    for pid in (supervisor_pid, *descendants(supervisor_pid)):
        role = SUPERVISOR if pid == supervisor_pid else role_of(pid)
        for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            fields = _stat(task / "stat")
            if fields is None:
                continue
            name = (task / "comm").read_text().strip()
            found.append(ThreadCpu(role, pid, int(task.name), name, (int(fields[11]) + int(fields[12])) * _TICK_S))
    return found


def pss_bytes(supervisor_pid: int) -> dict[str, int]:
    """Role -> proportional set size of its processes: shared pages are counted once, divided among those that share them."""
    used: dict[str, int] = {}
    for pid in (supervisor_pid, *descendants(supervisor_pid)):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        role = SUPERVISOR if pid == supervisor_pid else role_of(pid)
        pss = next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
        used[role] = used.get(role, 0) + pss
    return used


def role_of(pid: int) -> str:
    """The word after the module name on the command line of a child."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "unknown"
    for word, following in itertools.pairwise(words):
        if word == "tailrace.pipeline.main":
            return following
    return "other"


def _stat(path: Path) -> list[str] | None:
    """Fields from the third on (state first); None if the process is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return None


class PeakMemory:
    """Watches PSS once every `interval_s` in a thread until told to stop. `peak`: the moment with the largest sum."""

    def __init__(self, supervisor_pid: int, interval_s: float = 1.0) -> None:
        self.peak: dict[str, int] = {}
        self._pid = supervisor_pid
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            now = pss_bytes(self._pid)
            if sum(now.values()) > sum(self.peak.values()):
                self.peak = now
            if self._stop.wait(self._interval_s):
                return


def difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What was used between two readings. A role that died in between shows under `ended children`."""
    return {role: after.get(role, 0.0) - before.get(role, 0.0) for role in after.keys() | before.keys()}


def since(after: list[ThreadCpu], before: list[ThreadCpu]) -> list[ThreadCpu]:
    """What each thread has used between two readings."""
    known = {(thread.pid, thread.tid): thread.cpu_s for thread in before}
    return [replace(thread, cpu_s=thread.cpu_s - known.get((thread.pid, thread.tid), 0.0)) for thread in after]


def folder_bytes(folder: Path, wanted: Callable[[Path], bool] = lambda path: True) -> int:
    """Bytes of the files below `folder`."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and wanted(path):
                total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
