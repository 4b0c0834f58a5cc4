"""Metrics of the processes of one node, met in a folder: each writes a file of its own, whoever is asked reads them all.

So that `/metrics` gives the same answer whichever process a scrape happens to reach.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tailrace.runtime.files import write_atomic
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.telemetry.registry import Registry, Sample

_SUFFIX = ".metrics"
_SAMPLES = msgspec.msgpack.Decoder(list[Sample])


def publish(registry: Registry, folder: Path, process: str) -> None:
    """Write the series of this process, labelled with its name and pid."""
    samples = registry.snapshot(("process", process), ("pid", str(os.getpid())))
    write_atomic(folder / f"{os.getpid()}{_SUFFIX}", msgspec.msgpack.encode(samples), durable=False)


def withdraw(folder: Path) -> None:
    """Remove what this process published."""
    (folder / f"{os.getpid()}{_SUFFIX}").unlink(missing_ok=True)


def collect(folder: Path) -> list[Sample]:
    """The series of all processes that live; files of others are removed."""
    samples: list[Sample] = []
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        if not _lives(file.stem):
            file.unlink(missing_ok=True)
            continue
        try:
            samples += _SAMPLES.decode(file.read_bytes())
        except (FileNotFoundError, *UNREADABLE):
            continue  # ended just now, or written by another version: nothing to show
    return samples


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
