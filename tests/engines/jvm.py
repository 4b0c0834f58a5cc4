"""Programs on the Java machine, from what `make engines` has fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.waiting import until
from tools import engines

QUIET = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


def java(name: str) -> list[str]:
    """The beginning of a command that has the jars of `name`. Leaves the test out where they are not."""
    program = shutil.which("java")
    if program is None or not engines.is_here(name):
        pytest.skip("needs Java and what `make engines` fetches")
    return [program, *QUIET, "-cp", f"{engines.HERE / name}/*"]


@contextmanager
def server(command: Sequence[str], folder: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs in `folder` until the end; begins once `ready` (asked again and again). What it says is in `server.log` there."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def alive_and_ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        return ready()

    try:
        until(alive_and_ready, lambda: log.read_text(errors="replace")[-3000:])
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command: Sequence[str], folder: Path, env: Mapping[str, str], seconds: float = 240.0) -> str:
    """What a program prints; fails with all of it unless it ends with 0."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
