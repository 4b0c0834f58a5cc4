"""A sampling profiler that every child of a node starts by itself: Python imports a module of this name at start-up.

Active only where BENCH_PROFILE_DIR is set, from when a file `begin` is in that folder. Every few milliseconds it reads each
Python thread's own CPU clock and books what the thread has used since on the stack that it is in now. Work of native code
is booked on the Python line that called it.
Native threads that never run Python (DuckDB's, Arrow's) are not seen here; `tailrace.bench.processes.cpu_by_thread` sees them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from types import FrameType

BEGIN = "begin"
_INTERVAL_S = 0.004
_WRITE_EVERY_S = 1.0
_DEPTH_MAX = 40


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    """Innermost first."""
    found: list[str] = []
    while frame is not None and len(found) < _DEPTH_MAX:
        code = frame.f_code
        module = frame.f_globals.get("__name__", "?")
        found.append(f"{module}.{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(found)


def _cpu_s(thread_id: int) -> float | None:
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread_id))
    except (OSError, ProcessLookupError):
        return None


def _sample(folder: str) -> None:
    mine = threading.get_ident()
    booked: dict[tuple[str, tuple[str, ...]], float] = {}
    last: dict[int, float] = {}
    while not os.path.exists(os.path.join(folder, BEGIN)):
        time.sleep(0.1)
    written_s, process_s = time.monotonic(), 0.0
    while True:
        time.sleep(_INTERVAL_S)
        if time.process_time() - process_s > _INTERVAL_S / 4:
            _book(booked, last, mine)
            process_s = time.process_time()
        if time.monotonic() - written_s > _WRITE_EVERY_S:
            written_s = time.monotonic()
            _write(folder, booked)


def _book(booked: dict[tuple[str, tuple[str, ...]], float], last: dict[int, float], mine: int) -> None:
    names = {t.ident: t.name for t in threading.enumerate()}
    for thread_id, frame in sys._current_frames().items():
        now_s = _cpu_s(thread_id) if thread_id in names else None
        if now_s is None:
            continue
        spent_s = now_s - last.get(thread_id, now_s)
        last[thread_id] = now_s
        if spent_s > 0:
            key = (names[thread_id], ("the profiler itself",) if thread_id == mine else _stack(frame))
            booked[key] = booked.get(key, 0.0) + spent_s


def _write(folder: str, booked: dict[tuple[str, tuple[str, ...]], float]) -> None:
    rows = [{"thread": thread, "stack": stack, "cpu_s": cpu_s} for (thread, stack), cpu_s in booked.items()]
    path = os.path.join(folder, f"{os.getpid()}.json")
    with open(path + ".tmp", "w") as file:
        json.dump({"argv": sys.orig_argv, "rows": rows}, file)
    os.replace(path + ".tmp", path)


if os.environ.get("BENCH_PROFILE_DIR"):
    threading.Thread(target=_sample, args=(os.environ["BENCH_PROFILE_DIR"],), name="sampler", daemon=True).start()
