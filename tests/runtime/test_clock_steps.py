"""The door for clock steps: shut unless a test opens it; then all of a node's processes step together, and file ages with them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tailrace.runtime.clock import SystemClock
from tailrace.runtime.clock_steps import VARIABLE, ClockSteps, read_steps, steps_of_environment, write_step
from tailrace.runtime.file_times import modified_us, set_modified

HOUR_US = 3_600_000_000
ASK = """
import sys, time
from pathlib import Path
from tailrace.runtime.clock import SystemClock
from tailrace.runtime.clock_steps import write_step
from tailrace.runtime.file_times import modified_us, set_modified
steps, aged = Path(sys.argv[1]), Path(sys.argv[2])
clock = SystemClock()
def ahead_s(us):
    return round((us - time.time_ns() // 1000) / 60e6) * 60
aged.write_text("a")
began_s = clock.monotonic_s()
print(ahead_s(clock.now_us()), ahead_s(modified_us(aged)))
write_step(steps, time.time_ns() // 1000, 3_600_000_000)
time.sleep(0.05)
print(ahead_s(clock.now_us()), ahead_s(modified_us(aged)))
set_modified(aged, clock.now_us())
print(ahead_s(modified_us(aged)), clock.monotonic_s() - began_s < 60)
"""


def test_shut_the_clock_is_the_machines(tmp_path: Path) -> None:
    assert os.environ.get(VARIABLE) is None
    assert steps_of_environment() is None
    before_us = time.time_ns() // 1000
    shown_us = SystemClock().now_us()
    assert before_us <= shown_us <= time.time_ns() // 1000
    file = tmp_path / "file"
    file.write_text("x")
    assert modified_us(file) == file.stat().st_mtime_ns // 1000
    set_modified(file, shown_us)
    assert modified_us(file) == shown_us


def test_an_offset_holds_from_its_time_until_the_next(tmp_path: Path) -> None:
    path = tmp_path / "steps"
    steps = ClockSteps(path)
    assert steps.offset_us(5) == 0
    write_step(path, 100, HOUR_US)
    assert [steps.offset_us(at) for at in (99, 100, 10**9)] == [0, HOUR_US, HOUR_US]
    write_step(path, 200, -HOUR_US)
    assert [steps.offset_us(at) for at in (99, 100, 199, 200)] == [0, HOUR_US, HOUR_US, -HOUR_US]
    assert read_steps(path) == [(100, HOUR_US), (200, -HOUR_US)]


def test_a_process_follows_a_step_and_what_it_wrote_before_is_as_old_as_the_clock_says(tmp_path: Path) -> None:
    """Before, after: a file keeps the time that it was given. A new time is given by the clock of now. Intervals are not touched."""
    steps = tmp_path / "steps"
    found = subprocess.run(
        [sys.executable, "-c", ASK, str(steps), str(tmp_path / "aged")],
        env={**os.environ, VARIABLE: str(steps)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr == ""
    assert found.stdout.splitlines() == ["0 0", "3600 0", "3600 True"]


@pytest.mark.parametrize("text", ["12\n", "a b\n"])
def test_a_file_that_is_no_list_of_steps_is_not_read_as_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "steps"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"not enough values|invalid literal"):
        read_steps(path)
