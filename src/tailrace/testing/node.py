"""A real node in processes of its own, to try things on: start it, post, ask, kill parts of it, start it again.

For tests and benchmarks. It uses the command line and HTTP only, so that what it sees is what a user sees.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tailrace.errors import Unavailable
from tailrace.runtime.clock import SystemClock

START_S_MAX = 60.0
END_S_MAX = 30.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; numbers with a point as Decimal, so that no digit is lost."""
        return json.loads(self.body, parse_float=Decimal)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningNode:
    """`tailrace up` on a data folder. `log_path`: what its processes print. A context manager: starts, and stops cleanly.

    It runs in the folder that holds `data_dir`, so views are read from `views` beside it. `config` is a `tailrace.toml`. `key`: shown
    with each request that shows nothing else.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        config: Path | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        key: str = "",
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self.key = key
        self._env = dict(env or {})
        self._arguments = ["--data", str(data_dir), "--listen", f"{host}:{self.port}"]
        if config is not None:
            self._arguments += ["--config", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None, "the node has not been started"
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Returns once `/readyz` answers 200. Raises Unavailable, with the end of the log, if it does not within a minute."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tailrace.cli.main", "up", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._env},
                cwd=self.data_dir.parent,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        deadline_s = _CLOCK.monotonic_s() + START_S_MAX
        while _CLOCK.monotonic_s() < deadline_s:
            assert self._process is not None, "the node has not been started"
            if self._process.poll() is not None:
                raise Unavailable(f"the node ended with {self._process.returncode}:\n{self.log_end()}")
            try:
                if self.get("/readyz").status == 200:
                    return
            except OSError:
                pass
            _CLOCK.sleep(0.05)
        raise Unavailable(f"the node is not ready after {START_S_MAX:.0f} s:\n{self.log_end()}")

    def stop(self) -> int | None:
        """End it as Ctrl-C does; returns the exit code. What does not end within 30 s is killed, and that is an error."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(END_S_MAX)
            except subprocess.TimeoutExpired as error:
                self.kill_all()
                raise Unavailable(f"the node did not end within {END_S_MAX:.0f} s:\n{self.log_end()}") from error
        return self._process.returncode

    def kill_all(self) -> None:
        """SIGKILL to the supervisor, then to every child it had; returns once all are gone."""
        assert self._process is not None, "the node has not been started"
        children = descendants(self._process.pid)
        for pid in (self._process.pid, *children):
            kill(pid)
        self._process.wait()
        for pid in children:
            _wait_gone(pid)

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor alone: its children notice and end by themselves, after this returns."""
        assert self._process is not None, "the node has not been started"
        kill(self._process.pid)
        self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """Of the supervisor; None while it runs."""
        assert self._process is not None, "the node has not been started"
        return self._process.poll()

    def pids(self) -> dict[str, list[int]]:
        """Role -> pids of the living children, from the folder's own record of them; a stale record names nobody."""
        path = self.data_dir / "run" / "tailrace.json"
        try:
            listed = json.loads(path.read_bytes())["processes"]
        except FileNotFoundError:
            return {}
        alive = set(descendants(self.pid))
        found: dict[str, list[int]] = {}
        for process in listed:
            if process["pid"] in alive:
                found.setdefault(process["role"], []).append(process["pid"])
        return found

    def log_end(self, lines: int = 60) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own. Raises OSError if the node cannot be reached or breaks off."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            shown = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            connection.request(method, path, body, {**shown, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except http.client.HTTPException as error:
            raise ConnectionResetError(str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def get(self, path: str, **params: object) -> Answer:
        """`_from` stands for the parameter `from`, a word that Python keeps for itself."""
        named = {k.lstrip("_"): str(v) for k, v in params.items()}
        return self.request("GET", f"{path}?{urlencode(named)}" if named else path)

    def post_logs(self, body: bytes, *, stamp: str | None = None, **params: object) -> Answer:
        headers = {"Tailrace-Producer": stamp} if stamp else {}
        path = f"/v1/logs?{urlencode({k: str(v) for k, v in params.items()})}" if params else "/v1/logs"
        return self.request("POST", path, body, headers)

    def view(self, name: str, **params: object) -> dict[str, Any]:
        """The answer of `/v1/views/{name}`. Raises Unavailable if it is an error."""
        answer = self.get(f"/v1/views/{name}", **params)
        if answer.status != 200:
            raise Unavailable(f"view `{name}` answered {answer.status}: {answer.body.decode()}")
        found: dict[str, Any] = answer.json
        return found

    def pipeline(self) -> dict[str, Any]:
        answer = self.get("/v1/pipeline")
        if answer.status != 200:
            raise Unavailable(f"/v1/pipeline answered {answer.status}: {answer.body.decode()}")
        found: dict[str, Any] = answer.json
        return found


def kill(pid: int) -> None:
    """SIGKILL; no matter if it is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descendants(pid: int) -> list[int]:
    """Living children, their children, and so on."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def _wait_gone(pid: int) -> None:
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in ("Z", "X"):
            return
        _CLOCK.sleep(0.01)
