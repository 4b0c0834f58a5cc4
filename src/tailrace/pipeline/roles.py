"""The processes of a node and how each is started. Their order here is the way of the data, and the order in which they are ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tailrace.config.settings import Settings
from tailrace.pipeline.child import ChildSpec

INGEST, NODE, BATCH, QUERY = "ingest", "node", "batch", "query"

ENVIRONMENT = {
    # BLAS would start a thread a core, each with its memory, in processes that never use it.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # A post makes and frees arrays of megabytes. By default each goes back to the kernel and is faulted in again, page by
    # page: 175,000 faults and 1.1 of 6.2 CPU seconds per million lines (measured). Kept, they are used again.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}

GRACE_S = {INGEST: 8.0, NODE: 6.0, BATCH: 8.0, QUERY: 4.0}
"""How long each may take to end: ingest answers posts in flight, batch ends its step."""


def child_specs(settings: Settings, listening: Mapping[str, int], lock_handle: int) -> list[ChildSpec]:
    """N ingest processes, then node, batch and query. `listening`: handles of the sockets that ingest inherits, by their option."""
    count = ingest_processes(settings, os.cpu_count())
    names = [(INGEST, f"{INGEST}-{n}" if count > 1 else INGEST) for n in range(count)]
    names += [(role, role) for role in (NODE, BATCH, QUERY)]
    return [_spec(settings, role, name, listening, lock_handle) for role, name in names]


def ingest_processes(settings: Settings, cores: int | None) -> int:
    """As set; if not, two, or one on a machine with one core."""
    return settings.ingest.processes or (1 if cores == 1 else 2)


def log_path(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.log"


def _spec(settings: Settings, role: str, name: str, listening: Mapping[str, int], lock_handle: int) -> ChildSpec:
    command = [
        sys.executable,
        "-P",
        "-m",
        "tailrace.pipeline.main",
        role,
        "--data",
        str(settings.data_dir),
        "--name",
        name,
    ]
    handles: tuple[int, ...] = (lock_handle,)
    if role == INGEST:
        command += [word for option, handle in listening.items() for word in (option, str(handle))]
        handles = (lock_handle, *listening.values())
    return ChildSpec(
        role=role,
        name=name,
        argv=tuple(command),
        folder=settings.run_dir,
        log_path=log_path(settings.run_dir, name),
        handles=handles,
        grace_s=GRACE_S[role],
        env=ENVIRONMENT,
    )
