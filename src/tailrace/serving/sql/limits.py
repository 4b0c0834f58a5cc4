"""A bound on the memory of the whole query process, kept by the kernel.

The engine's own limit does not see the values it builds inside an expression: `list_sum(range(500000000))` takes 8 GB under a limit
of 256 MiB. With this bound the allocation fails, the statement ends with an error, and the process lives on.
"""

from __future__ import annotations

import resource
from pathlib import Path

from tailrace.config.settings import QuerySettings

HEADROOM_BYTES = 1 << 30
"""For decoded blocks, answers being encoded, thread stacks, and what allocators keep for reuse."""
_STATUS = Path("/proc/self/status")


def bound_memory(limits: QuerySettings) -> int | None:
    """Bound what this process may still allocate; call it once, at the end of start-up. The bound in bytes, None without Linux."""
    if not _STATUS.exists():
        return None
    bound = _data_bytes() + limits.memory_bytes_max + HEADROOM_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    return bound


def _data_bytes() -> int:
    """Private writable memory that is mapped now, used or not: what RLIMIT_DATA counts."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024
