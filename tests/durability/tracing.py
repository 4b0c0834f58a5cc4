"""A process run under strace, and the events of its trace. Left out, by name, where processes cannot be traced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tailrace.testing.syscalls import STRACE, Event, parse

ROOT = Path(__file__).resolve().parents[2]


def strace_command(output: Path, *more: str) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    try:
        probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, timeout=60)
    except OSError as error:
        pytest.skip(f"strace does not run: {error}")
    if probe.returncode != 0:
        pytest.skip("processes may not be traced on this machine")
    return [*STRACE, *more, "-o", str(output)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"}


def traced(output: Path, command: Sequence[str], root: Path, *more: str) -> list[Event]:
    """The events below `root` of a command that must end well. `more`: options of strace."""
    done = subprocess.run(
        [*strace_command(output, *more), *command], cwd=ROOT, env=environment(), capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    with output.open() as lines:
        return parse(lines, str(root))
