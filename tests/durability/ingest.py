"""A real ingest process under strace: the role's own main, on a socket of the test, with posts from several threads."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.config.handed_on import write_settings
from tailrace.config.settings import Settings, StreamSettings
from tailrace.testing.node import descendants, kill
from tests.durability.tracing import ROOT, environment, strace_command


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Ingest:
    """`port`: where it listens. `process`: strace's, which ends with the ingest process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    said: list[dict[str, Any]] = field(default_factory=list)

    def post(self, lines: Sequence[bytes], stamp: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/logs", b"\n".join(lines), {"Tailrace-Producer": stamp} if stamp else {})
            response = connection.getresponse()
            return Answer(
                response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(response.read())
            )
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL to the ingest process itself; strace ends with it."""
        for pid in descendants(self.process.pid):
            kill(pid)
        self.process.wait(60)

    def log(self) -> str:
        return (self.folder / "ingest.err").read_text()[-4000:]


@contextmanager
def traced_ingest(folder: Path, output: Path, *more: str) -> Iterator[Ingest]:
    """`folder`: the data folder. The block begins when it accepts posts, and ends once the process has ended."""
    folder.mkdir(exist_ok=True)
    write_settings(Settings(data_dir=folder, views_dir=folder / "views", stream=StreamSettings(shards=2)))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.set_inheritable(True)
        handle = listening.fileno()
        command = [sys.executable, "-m", "tailrace.pipeline.main", "ingest", "--data", str(folder), "--name", "ingest"]
        with (folder / "ingest.err").open("wb") as errors:
            process = subprocess.Popen(
                [*strace_command(output, *more), *command, "--listen-handle", str(handle)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment(),
                pass_fds=(handle,),
            )
        ingest = Ingest(folder, listening.getsockname()[1], process)
        try:
            _wait_ready(ingest)
            yield ingest
        finally:
            _end(process)


def _wait_ready(ingest: Ingest) -> None:
    assert ingest.process.stdout is not None
    for line in ingest.process.stdout:
        ingest.said.append(json.loads(line))
        if ingest.said[-1].get("ready"):
            return
    raise AssertionError(f"the ingest process ended before it was ready: {ingest.log()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its standard input ends, as when the supervisor goes."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(60)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline_s, "not so within a minute"
        time.sleep(0.02)


def post_from_threads(ingest: Ingest, posts: Sequence[Sequence[bytes]], threads: int) -> list[Answer | None]:
    """The answers, in the order of `posts`; None where the process broke off."""
    answers: list[Answer | None] = [None] * len(posts)

    def send(first: int) -> None:
        for index in range(first, len(posts), threads):
            try:
                answers[index] = ingest.post(posts[index], f"p{first};1;{index}")
            except (OSError, http.client.HTTPException):
                continue

    workers = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return answers


def numbered_lines(first: int, count: int) -> list[bytes]:
    """Good lines, no two alike, spread over the shards."""
    return [
        json.dumps(
            {
                "timestamp": 1_790_000_000_000 + number * 7,
                "endpoint": f"/e{number % 9}",
                "status": 200 + number % 3,
                "response_ms": number % 1000 / 8,
                "n": number,
            }
        ).encode()
        for number in range(first, first + count)
    ]
