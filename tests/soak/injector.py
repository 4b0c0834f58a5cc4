"""Does to a node what the schedule says, in a thread, and keeps a record of what was done and when."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tailrace.runtime.clock_steps import write_step
from tailrace.runtime.disk import disk_use
from tailrace.testing.node import RunningNode, kill
from tests.soak.schedule import Fault

BACK_S_MAX = 90.0
"""How long a process that was killed may take to be there again."""
SHARDS_MOST = 6
OVER_THE_BOUND_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Happened:
    """`kind`: as of a fault, or split, merge. `until_s`: the end of what lasts."""

    at_s: float
    kind: str
    what: str
    until_s: float = 0.0


class Injector:
    """A context manager: begins on enter. `problems`: what did not come back. `held`: taken by others while nothing may happen."""

    def __init__(
        self, node: RunningNode, faults: Sequence[Fault], folder: Path, free_bytes_least: int, seed: int
    ) -> None:
        self.happened: list[Happened] = []
        self.problems: list[str] = []
        self.held = threading.Lock()
        self._node = node
        self.faults = faults
        self._steps = clock_file(folder)
        self._ballast = folder / "ballast"
        self._free_bytes_least = free_bytes_least
        self._chance = random.Random(seed + 1)
        self._stop = threading.Event()
        self._may_kill = threading.Event()
        self._may_kill.set()
        self._waited_s = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """What is under way is finished; the disk is not full any more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._ballast.unlink(missing_ok=True)

    def breathe(self, *, still: bool) -> None:
        """Kills wait while all stands `still`; what comes after is as much later."""
        if still:
            self._may_kill.clear()
        else:
            self._may_kill.set()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _run(self) -> None:
        acts: dict[str, Callable[[Fault], None]] = {
            "kill": self._kill,
            "clock": self._step_clock,
            "disk": self._fill_disk,
            "reshard": self._reshard,
        }
        for fault in self.faults:
            if self._stop.wait(max(0.0, fault.at_s + self._waited_s - self._now_s())) or not self._wait_for_breath(
                fault
            ):
                return
            with self.held:
                try:
                    acts[fault.kind](fault)
                except Exception as error:  # noqa: BLE001
                    self.problems.append(f"{fault.kind} {fault.role} at {self._now_s():.0f} s: {error}")

    def _wait_for_breath(self, fault: Fault) -> bool:
        """False if the run ends meanwhile."""
        began_s = self._now_s()
        while fault.kind == "kill" and not self._may_kill.wait(0.2):
            if self._stop.is_set():
                return False
        if (waited_s := self._now_s() - began_s) > 1.0:
            self._waited_s += waited_s
            self._note("breath", fault.role, began_s)
        return True

    # -- kills ---------------------------------------------------------------------------------------------------

    def _kill(self, fault: Fault) -> None:
        if fault.role in ("all", "supervisor"):
            if fault.role == "all":
                self._node.kill_all()
            else:
                self._node.kill_supervisor()
            self._note("kill", fault.role)
            time.sleep(self._chance.uniform(0.0, 0.3))
            self._node.start(wait=False)
            return
        kill(self._chance.choice(self._pids(fault.role)))
        self._note("kill", fault.role)

    def _pids(self, role: str) -> list[int]:
        """Waits for a process that is just being started again; starts the supervisor if it could not begin."""
        deadline_s = time.monotonic() + BACK_S_MAX
        while time.monotonic() < deadline_s:
            if pids := self._node.pids().get(role):
                return pids
            time.sleep(0.05)
        raise RuntimeError(f"no {role} process after {BACK_S_MAX:.0f} s: {self._node.log_end(5)}")

    # -- clock and disk ------------------------------------------------------------------------------------------

    def _step_clock(self, fault: Fault) -> None:
        write_step(self._steps, time.time_ns() // 1000, int(fault.amount) * 1_000_000)
        self._note("clock", f"{fault.amount / 3600:+.0f} h" if fault.amount else "±0 h")

    def _fill_disk(self, fault: Fault) -> None:
        """A file so large that less is free than the node must have. Its blocks are reserved, not written."""
        began_s = self._now_s()
        size = disk_use(self._ballast.parent).free - self._free_bytes_least + OVER_THE_BOUND_BYTES
        handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
        self._stop.wait(fault.amount)
        self._ballast.unlink()
        self._note("disk", "full", began_s)

    # -- shards --------------------------------------------------------------------------------------------------

    def _reshard(self, fault: Fault) -> None:
        """What the node cannot do while it is down is tried again until it is back."""
        deadline_s = time.monotonic() + BACK_S_MAX
        while time.monotonic() < deadline_s:
            if self._stop.is_set():
                return
            try:
                shards = [s for s in self._node.get("/v1/shards").json["shards"] if s["state"] == "open"]
                shards.sort(key=lambda s: int(s["hash_first"]))
                split = len(shards) < 2 or (len(shards) < SHARDS_MOST and fault.amount < 0.5)
                path, body = _split(shards) if split else _merge(shards, fault.amount)
                answer = self._node.request("POST", path, body)
            except (OSError, KeyError, ValueError):
                time.sleep(0.2)
                continue
            if answer.status == 200:
                self._note("split" if split else "merge", path.split("/")[3])
                return
            if answer.status not in (409, 429, 503):
                raise RuntimeError(f"{path} answered {answer.status}: {answer.body.decode()}")
            time.sleep(0.2)
        raise RuntimeError(f"no split or merge was possible within {BACK_S_MAX:.0f} s")

    def _note(self, kind: str, what: str, began_s: float | None = None) -> None:
        now_s = self._now_s()
        self.happened.append(Happened(now_s if began_s is None else began_s, kind, what, now_s))


def clock_file(folder: Path) -> Path:
    return folder / "clock-steps"


def _split(shards: list[dict[str, Any]]) -> tuple[str, bytes]:
    return f"/v1/shards/{max(shards, key=lambda s: s['share'])['id']}/split", b"{}"


def _merge(shards: list[dict[str, Any]], amount: float) -> tuple[str, bytes]:
    at = int(amount * (len(shards) - 1))
    return f"/v1/shards/{shards[at]['id']}/merge", json.dumps({"adjacent": shards[at + 1]["id"]}).encode()
