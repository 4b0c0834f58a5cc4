"""Live views of logs, computed by two layers and compared. Begin at `tailrace.cli` or `docs/architecture.md`.

For programs that log: `from tailrace import Producer, LogHandler`. They are loaded when they are first named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.producers.client import LogHandler, Producer

__version__ = "0.1.0"
__all__ = ["LogHandler", "Producer", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("LogHandler", "Producer"):
        return getattr(importlib.import_module("tailrace.producers.client"), name)
    raise AttributeError(f"module `tailrace` has no attribute `{name}`")
