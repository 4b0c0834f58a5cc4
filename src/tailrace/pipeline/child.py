"""One process kept alive: started, watched, started again with a growing pause when it dies, ended when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.pipeline.log_file import last_line, open_log, rotate
from tailrace.runtime.clock import Clock

PAUSE_FIRST_S = 0.2
PAUSE_LONGEST_S = 5.0
STEADY_S = 20.0
"""A process that lived this long is steady: its next pause is the first again."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start. `role`: what it does; `name`: unique. `argv`: whole command. `handles`: descriptors that it inherits."""

    role: str
    name: str
    argv: tuple[str, ...]
    folder: Path
    log_path: Path
    handles: tuple[int, ...] = ()
    grace_s: float = 5.0
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """`kind`: started, ready, died, problem or ended. `text`: the reason, for people. `code`: exit code of `died` (negative: signal)."""

    kind: str
    role: str
    name: str
    pid: int
    text: str = ""
    code: int | None = None


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """The pause before the next start, from the one before and how long the process then lived."""
    return PAUSE_FIRST_S if lived_s >= STEADY_S or pause_s == 0 else min(PAUSE_LONGEST_S, pause_s * 2)


class Child:
    """A thread of its own starts and waits for the process; `on_event` is called from that thread."""

    def __init__(self, spec: ChildSpec, clock: Clock, on_event: Callable[[Event], None]) -> None:
        self.spec = spec
        self.restarts = 0
        self._clock = clock
        self._on_event = on_event
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"child-{spec.name}", daemon=True)
        rotate(spec.log_path)

    def start(self) -> None:
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the living process, if there is one now."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def is_ready(self) -> bool:
        return self._ready

    def stop(self, hard: threading.Event) -> None:
        """End it: SIGTERM, then after its grace, or at once when `hard` is set, SIGKILL. Returns once it is gone."""
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGTERM)
        deadline_s = self._clock.monotonic_s() + self.spec.grace_s
        while self._thread.is_alive():
            if hard.is_set() or self._clock.monotonic_s() >= deadline_s:
                self._signal(signal.SIGKILL)
                self._thread.join()
                return
            self._thread.join(0.02)

    def kill(self) -> None:
        """SIGKILL; it is not started again."""
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None:
            process.send_signal(number)

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                process = self._process = self._spawn()
            started_s = self._clock.monotonic_s()
            self._tell("started", process.pid)
            self._listen(process)
            code = process.wait()
            self._close(process)
            self._ready = False
            if self._stopping.is_set():
                self._tell("ended", process.pid, code=code)
                return
            pause_s = next_pause_s(pause_s, self._clock.monotonic_s() - started_s)
            self._tell("died", process.pid, describe_end(code, last_line(self.spec.log_path)), code)
            self._stopping.wait(pause_s)
            self.restarts += 1

    def _spawn(self) -> subprocess.Popen[bytes]:
        with open_log(self.spec.log_path) as log:
            return subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.spec.folder,
                env={**os.environ, **self.spec.env},
                pass_fds=self.spec.handles,
                # A Ctrl-C of the terminal goes to the supervisor alone, which ends its children in order.
                process_group=0,
            )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """What the process says, until it ends."""
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            try:
                words = json.loads(line)
            except ValueError:
                continue
            if words.get("ready"):
                self._ready = True
                self._tell("ready", process.pid)
            elif "problem" in words:
                self._tell("problem", process.pid, str(words["problem"]))

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _tell(self, kind: str, pid: int, text: str = "", code: int | None = None) -> None:
        self._on_event(Event(kind, self.spec.role, self.spec.name, pid, text, code))


def describe_end(code: int, last_words: str) -> str:
    """Why a process ended, as far as one can tell."""
    if code >= 0:
        how = f"ended with exit code {code}"
    else:
        try:
            how = f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"was killed by signal {-code}"
    return f"{how}; its last words: {last_words}" if last_words and code != -signal.SIGKILL else how
