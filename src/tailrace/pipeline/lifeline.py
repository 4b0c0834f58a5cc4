"""A child's side of the supervisor: when to stop, and how to say that it is ready or in trouble.

Standard input is a pipe that nobody writes to: its end means that the supervisor is gone, however it went. Standard output is the
way back, a JSON object a line; what the process prints goes to its log.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tailrace.pipeline import signals
from tailrace.pipeline.log_file import BoundedLog
from tailrace.runtime.clock import SystemClock

LOG = logging.getLogger(__name__)
ORPHAN_GRACE_S = 4.0
"""How long a process may take to end by itself once its supervisor is gone."""


class Lifeline:
    """`stop` is set when the process shall end. Made once, first thing, by the main thread."""

    def __init__(self, log_path: Path) -> None:
        self.stop = threading.Event()
        self.failed = False
        self._begun = False
        self._back = os.dup(1)
        os.set_blocking(self._back, False)
        os.dup2(2, 1)
        handler = BoundedLog(log_path, self.problem)
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        for talkative in ("httpx", "uvicorn", "pyiceberg"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        signals.watch((signal.SIGTERM, signal.SIGINT), lambda number: self._end())
        threading.Thread(target=self._watch_supervisor, name="lifeline", daemon=True).start()

    def begin(self) -> None:
        """The work begins: from now on there is something to put away. Before, being told to stop ends the process at once."""
        self._begun = True

    def ready(self) -> None:
        """The process does its work from now on."""
        self._say({"ready": True})

    def problem(self, message: str) -> None:
        """Something a person should see."""
        self._say({"problem": message})

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Start `work` in a thread whose failure ends the process, so that the supervisor begins it anew."""

        def run() -> None:
            try:
                work()
            except BaseException:
                LOG.exception("thread %s died", name)
                self.failed = True
                self.stop.set()
                raise

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _say(self, words: dict[str, object]) -> None:
        try:
            os.write(self._back, json.dumps(words).encode()[:2000].replace(b"\n", b" ") + b"\n")
        except OSError:
            # The supervisor is gone or does not read: it is in the log.
            return

    def _end(self) -> None:
        self.stop.set()
        if not self._begun:
            os._exit(0)

    def _watch_supervisor(self) -> None:
        while os.read(0, 4096):
            pass
        self._end()
        SystemClock().sleep(ORPHAN_GRACE_S)
        os._exit(3)
