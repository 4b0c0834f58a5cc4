"""A stand-in for a role of the node: the real lifeline and log, and work that does what a test asks for.

`python worker.py LOG MODE`: `steady` works until told to stop; `crash` fails after it was ready; `unusable` ends with 2 at once;
`deaf` ignores being told; `thread` loses a thread; `early` has not begun its work, and would
never look whether to stop.
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from tailrace.pipeline.lifeline import Lifeline
from tailrace.runtime.clock import SystemClock


def main(log: str, mode: str) -> int:
    lifeline = Lifeline(Path(log))
    if mode == "unusable":
        logging.error("the settings are wrong")
        return 2
    if mode != "early":
        lifeline.begin()
    lifeline.ready()
    if mode == "crash":
        logging.error("something is broken")
        raise RuntimeError("crashed on purpose")
    if mode in ("deaf", "early"):
        threading.Event().wait()
    if mode == "thread":
        lifeline.thread("doomed", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    lifeline.stop.wait()
    print("printed words")
    if mode == "slow":
        SystemClock().sleep(0.3)
    return 1 if lifeline.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
