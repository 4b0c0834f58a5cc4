"""Opening what may be damaged: a process that cannot do its work says so and waits, and does not die again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from tailrace.errors import Corrupt, Unavailable

LOG = logging.getLogger(__name__)
RETRY_S = 5.0

T = TypeVar("T")


def patiently(make: Callable[[], T], stop: threading.Event) -> T | None:
    """What `make` makes, tried again every few seconds while it raises Corrupt or Unavailable; None if `stop` comes first."""
    while not stop.is_set():
        try:
            return make()
        except (Corrupt, Unavailable) as error:
            LOG.error("cannot begin: %s (%s)", error.message, error.hint)
        stop.wait(RETRY_S)
    return None
