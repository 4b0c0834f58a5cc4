"""One node a data folder, and no lock that outlives its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace.errors import Conflict, Unavailable
from tailrace.pipeline import lock
from tailrace.runtime.clock import ManualClock, SystemClock

HOLDER = """
import sys, subprocess
from pathlib import Path
from tailrace.pipeline import lock
from tailrace.runtime.clock import SystemClock
held = lock.acquire(Path(sys.argv[1]), SystemClock())
child = None
if sys.argv[2] == "child":
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], pass_fds=[held.handle], stdin=0)
print(child.pid if child else 0, flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(run_dir: Path, mode: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends; with `child`, so does a child of it."""
    command = [sys.executable, "-c", HOLDER, str(run_dir), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline()
        yield process


def test_the_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "run", SystemClock())
    assert lock.is_held(tmp_path / "run")
    assert lock.read_owner(tmp_path / "run" / "lock") == os.getpid()
    held.release()
    assert not lock.is_held(tmp_path / "run")
    lock.acquire(tmp_path / "run", SystemClock()).release()


def test_a_second_node_is_told_who_has_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(Conflict, match=f"pid `{process.pid}`") as found:
            lock.acquire(tmp_path, ManualClock())
        assert f"kill {process.pid}" in found.value.hint
        process.communicate()


@pytest.mark.kill
def test_a_killed_owner_is_no_obstacle(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
    assert (tmp_path / "lock").exists()
    lock.acquire(tmp_path, ManualClock()).release()


@pytest.mark.kill
def test_children_of_a_killed_owner_are_waited_for(tmp_path: Path) -> None:
    class Patient(ManualClock):
        """Lets the child go when the wait has begun."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            assert process.stdin
            process.stdin.close()
            SystemClock().sleep(0.01)
            self.advance(-seconds)

    with holder(tmp_path, "child") as process:
        process.kill()
        process.wait()
        assert lock.is_held(tmp_path)
        lock.acquire(tmp_path, Patient()).release()


@pytest.mark.kill
def test_children_that_stay_are_reported_after_a_while(tmp_path: Path) -> None:
    with holder(tmp_path, "child") as process:
        process.kill()
        process.wait()
        with pytest.raises(Conflict, match="processes of an earlier node"):
            lock.acquire(tmp_path, ManualClock())


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        lock.acquire(tmp_path / "file" / "run", ManualClock())


def test_without_a_folder_nobody_holds_it(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path / "run")
    assert lock.read_owner(tmp_path / "run" / "lock") is None
    assert not lock.is_alive(None)
    assert not lock.is_alive(0)
