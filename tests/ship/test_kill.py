"""kill -9 of `tailrace ship` at random moments, while logs grow and are rotated and the node fails: every line comes exactly once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from tests.ship.node import Node, flaky, running

pytestmark = [pytest.mark.kill, pytest.mark.slow]

SEED = int(os.environ.get("TAILRACE_KILL_SEED", "7"))
KILLS = 7
KEPT = 60


class Writer:
    """Lines at full speed into a log, rotated every now and then as logrotate does it: every earlier file takes the next number.

    Nothing is written between copy and truncate: what is then written is lost by that way of rotation itself.
    """

    def __init__(self, path: Path, seed: int, *, copy: bool) -> None:
        self.path, self.copy = path, copy
        self.written = self.rotations = 0
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def lines(self) -> Counter[bytes]:
        return Counter(self._line(n) for n in range(self.written))

    def _line(self, n: int) -> bytes:
        return b'{"log":"%s","n":%d,"text":"%s"}' % (self.path.name.encode(), n, b"x" * (n * 7919 % 200))

    def _run(self) -> None:
        file = self.path.open("ab", buffering=0)
        while not self._stop.wait(0.01):
            count = self._chance.randrange(1, 400)
            text = b"".join(self._line(self.written + n) + b"\n" for n in range(count))
            at = self._chance.randrange(len(text))
            file.write(text[:at])  # a line is often seen before it is whole
            file.write(text[at:])
            self.written += count
            if self._chance.random() < 0.03 and self.rotations < KEPT:
                self.rotations += 1
                file = self._rotate(file)
        file.close()

    def _rotate(self, file: object) -> object:
        for number in range(self.rotations, 0, -1):
            earlier = self.path.with_name(f"{self.path.name}.{number}")
            if earlier.exists():
                earlier.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        aside = self.path.with_name(f"{self.path.name}.1")
        if self.copy:
            shutil.copyfile(self.path, aside)
            os.truncate(self.path, 0)
            return file
        self.path.rename(aside)
        file.close()  # type: ignore[attr-defined]
        return self.path.open("ab", buffering=0)


def ship(node: Node, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    words = ["ship", f"{folder}/*.log", "--to", node.url, "--state", str(folder / "state"), "--format", "json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def summary(lines: Counter[bytes]) -> str:
    return f"{lines.total()}" if not lines else f"{lines.total()}: {min(lines)[:40]!r} to {max(lines)[:40]!r}"


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    renamed = Writer(tmp_path / "renamed.log", SEED, copy=False)
    copied = Writer(tmp_path / "copied.log", SEED + 1, copy=True)
    with running(flaky(SEED)) as node:
        renamed.path.touch()
        copied.path.touch()
        first = ship(node, tmp_path, "--once")  # what is put aside before the first run is not asked for
        assert first.wait(240) == 0, first.communicate()
        first.communicate()
        with renamed, copied:
            for _ in range(KILLS):
                shipping = ship(node, tmp_path)
                posts = len(node.posts)
                while len(node.posts) < posts + chance.randrange(1, 12):
                    assert shipping.poll() is None, shipping.communicate()
                    time.sleep(0.005)
                shipping.send_signal(signal.SIGKILL)
                print(shipping.communicate()[1].decode())
        node.fault = lambda: ""
        last = ship(node, tmp_path, "--once", "--json")
        out, err = last.communicate(timeout=240)
        assert last.returncode == 0, (out, err)
        assert node.wrong == []
        expected, found = renamed.lines() + copied.lines(), Counter(node.lines)
        assert (summary(expected - found), summary(found - expected)) == ("0", "0"), err.decode()
    assert node.again > 0, "no post was sent twice: the kills missed every one"
    assert min(renamed.rotations, copied.rotations) > 3


def test_it_ends_gracefully(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b'{"n":1}\n' * 100)
    with running() as node:
        shipping = ship(node, tmp_path, "--json")
        while len(node.lines) < 100:
            assert shipping.poll() is None, shipping.communicate()
            time.sleep(0.01)
        shipping.send_signal(signal.SIGTERM)
        out, err = shipping.communicate(timeout=240)
        assert (shipping.returncode, b'"accepted": 100' in out) == (0, True), (out, err)
        again = ship(node, tmp_path, "--once")
        assert again.wait(60) == 0
        again.communicate()
    assert (len(node.lines), node.again) == (100, 0)


def test_a_pipe_is_shipped_to_its_end(tmp_path: Path) -> None:
    lines = [b'{"n":%d}' % n for n in range(50_000)]
    with running(flaky(5)) as node:
        words = ["ship", "-", "--to", node.url, "--connections", "1"]
        shipping = subprocess.run(
            [sys.executable, "-m", "tailrace.cli.main", *words],
            input=b"\n".join(lines),
            capture_output=True,
            timeout=240,
        )
        assert shipping.returncode == 0, shipping
        assert node.lines == lines
