"""Children of real processes: kept alive, ended in order, and gone when their supervisor is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.pipeline.child import (
    PAUSE_FIRST_S,
    PAUSE_LONGEST_S,
    STEADY_S,
    ChildSpec,
    Event,
    describe_end,
    next_pause_s,
)
from tailrace.pipeline.lock import is_alive
from tailrace.pipeline.supervisor import Supervisor
from tailrace.runtime.clock import SystemClock

WORKER = Path(__file__).with_name("worker.py")
CLOCK = SystemClock()


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline_s = CLOCK.monotonic_s() + 20
    while not holds():
        assert CLOCK.monotonic_s() < deadline_s, f"never came: {what}"
        CLOCK.sleep(0.01)


class Run:
    """A supervisor of workers, and what it told."""

    def __init__(self, folder: Path, *children: tuple[str, str, str], grace_s: float = 10.0) -> None:
        self.events: list[Event] = []
        specs = [
            ChildSpec(
                role=role,
                name=name,
                argv=(sys.executable, str(WORKER), str(folder / f"{name}.log"), mode),
                folder=folder,
                log_path=folder / f"{name}.log",
                grace_s=grace_s,
            )
            for role, name, mode in children
        ]
        self.supervisor = Supervisor(specs, CLOCK, self.events.append)

    def kinds(self, name: str) -> list[str]:
        return [event.kind for event in self.events if event.name == name]

    def last(self, kind: str) -> Event:
        return [event for event in self.events if event.kind == kind][-1]

    def stop(self, *, hard: bool = False) -> None:
        flag = threading.Event()
        if hard:
            flag.set()
        self.supervisor.stop(flag)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def begin(*children: tuple[str, str, str], grace_s: float = 10.0) -> Run:
        run = Run(tmp_path, *children, grace_s=grace_s)
        made.append(run)
        run.supervisor.start()
        return run

    yield begin
    for run in made:
        run.stop(hard=True)


def test_children_are_ready_when_they_say_so_and_end_when_told(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(("a", "a", "steady"), ("b", "b", "steady"))
    eventually(run.supervisor.is_ready, "ready")
    pids = [child.pid for child in run.supervisor.children]
    run.stop()
    assert run.kinds("a") == ["started", "ready", "ended"]
    assert run.last("ended").code == 0
    assert not any(is_alive(pid) for pid in pids)
    assert (tmp_path / "a.log").read_text() == "printed words\n"


def test_a_killed_child_is_started_again_and_the_reason_told(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "steady"), ("b", "b", "steady"))
    eventually(run.supervisor.is_ready, "ready")
    first, other = (child.pid for child in run.supervisor.children)
    assert first
    os.kill(first, signal.SIGKILL)
    eventually(lambda: run.kinds("a").count("ready") == 2, "ready again")
    assert run.last("died").text == "was killed by SIGKILL"
    assert run.supervisor.children[0].restarts == 1
    assert run.supervisor.children[0].pid not in (None, first)
    assert run.supervisor.children[1].pid == other


def test_last_words_and_errors_of_a_crash_are_told(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "crash"))
    eventually(lambda: run.kinds("a").count("died") >= 2, "two deaths")
    assert run.last("died").text == "ended with exit code 1; its last words: RuntimeError: crashed on purpose"
    assert run.last("problem").text == "something is broken"
    assert run.last("died").code == 1


def test_a_thread_that_dies_takes_its_process_along(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start(("a", "a", "thread"))
    eventually(lambda: "died" in run.kinds("a"), "death")
    assert run.last("died").code == 1
    assert "ZeroDivisionError" in (tmp_path / "a.log").read_text()


def test_roles_end_one_after_the_other_in_their_order(start: Callable[..., Run]) -> None:
    run = start(("a", "a-0", "slow"), ("a", "a-1", "slow"), ("b", "b", "steady"), ("c", "c", "steady"))
    eventually(run.supervisor.is_ready, "ready")
    run.stop()
    ended = [event.name for event in run.events if event.kind == "ended"]
    assert sorted(ended[:2]) == ["a-0", "a-1"]
    assert ended[2:] == ["b", "c"]


def test_a_child_that_does_not_listen_is_killed_after_its_grace(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "deaf"), grace_s=0.2)
    eventually(run.supervisor.is_ready, "ready")
    run.stop()
    assert run.last("ended").code == -signal.SIGKILL


def test_a_child_that_has_not_begun_ends_at_once(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "early"), grace_s=3600)
    eventually(run.supervisor.is_ready, "ready")
    run.stop()
    assert run.last("ended").code == 0


def test_a_hard_stop_waits_for_nobody(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "deaf"), ("b", "b", "deaf"), grace_s=3600)
    eventually(run.supervisor.is_ready, "ready")
    run.stop(hard=True)
    assert [event.code for event in run.events if event.kind == "ended"] == [-signal.SIGKILL] * 2


def test_a_child_between_two_starts_ends_as_well(start: Callable[..., Run]) -> None:
    run = start(("a", "a", "unusable"))
    eventually(lambda: run.kinds("a").count("died") >= 2, "two deaths")
    run.stop()
    assert run.supervisor.children[0].pid is None


SUPERVISING = """
import sys, threading
from pathlib import Path
from tests.pipeline.test_supervisor import Run
run = Run(Path(sys.argv[1]), ("a", "a", "steady"), ("b", "b", "deaf"))
run.supervisor.start()
while not run.supervisor.is_ready():
    threading.Event().wait(0.01)
print(*[child.pid for child in run.supervisor.children], flush=True)
threading.Event().wait()
"""


@pytest.mark.kill
def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as supervisor:
        assert supervisor.stdout
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        supervisor.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids), "their end")


def test_pauses_grow_and_begin_anew_after_a_steady_life() -> None:
    pauses = [0.0]
    for _ in range(10):
        pauses.append(next_pause_s(pauses[-1], lived_s=0.1))
    assert pauses[1:4] == [PAUSE_FIRST_S, 2 * PAUSE_FIRST_S, 4 * PAUSE_FIRST_S]
    assert pauses[-1] == PAUSE_LONGEST_S
    assert next_pause_s(PAUSE_LONGEST_S, lived_s=STEADY_S) == PAUSE_FIRST_S


@pytest.mark.parametrize(
    ("code", "words", "text"),
    [
        (0, "", "ended with exit code 0"),
        (3, "why", "ended with exit code 3; its last words: why"),
        (-9, "why", "was killed by SIGKILL"),
        (-11, "", "was killed by SIGSEGV"),
        (-250, "", "was killed by signal 250"),
    ],
)
def test_ends_are_described(code: int, words: str, text: str) -> None:
    assert describe_end(code, words) == text
