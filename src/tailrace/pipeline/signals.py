"""Signals as calls in an ordinary thread, where locks may be taken: a handler only writes a byte."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


def watch(signals: tuple[signal.Signals, ...], on_signal: Callable[[signal.Signals], None]) -> None:
    """From now on `on_signal` is called for each of `signals`, in a thread of its own. Call from the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def note(number: int, frame: FrameType | None) -> None:
        try:
            os.write(writer, bytes([number]))
        except BlockingIOError:
            # Thousands wait already: one more or less says nothing new.
            return

    def run() -> None:
        while number := os.read(reader, 1):
            on_signal(signal.Signals(number[0]))

    threading.Thread(target=run, name="signals", daemon=True).start()
    for watched in signals:
        signal.signal(watched, note)
