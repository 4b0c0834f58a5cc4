"""Which lake files a statement can need, by the event times it asks for.

The engine itself is asked: it plans the statement and says which conditions each scan of a Parquet file applies. Only conditions of
one known form count; whatever is not understood leaves all files in. Conditions that depend on data are not part of a plan, so
they cannot lead to a file being left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.batch.base import LakeFile
from tailrace.errors import Invalid
from tailrace.model.window import parse_iso

_ONE = r"\(timestamp (>=|>|<=|<|=) '([^']+)'::TIMESTAMP WITH TIME ZONE\)"
_CONDITION = re.compile(_ONE)
_CONDITIONS = re.compile(rf"{_ONE}|\({_ONE} AND {_ONE}\)")
_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Event times in microseconds, inclusive."""

    first_us: int = _EARLIEST
    last_us: int = _LATEST

    def meets(self, file: LakeFile) -> bool:
        return self.first_us <= file.time_max_us and file.time_min_us <= self.last_us


def needed_files(plan: Any, files: Sequence[LakeFile]) -> list[LakeFile]:
    """The files of `files` that hold times that a plan asks for (`EXPLAIN (FORMAT json)`, made while `logs` had all of them)."""
    ranges = scan_ranges(plan)
    if not ranges:
        return list(files)
    return [f for f in files if any(r.meets(f) for r in ranges)]


def scan_ranges(plan: Any) -> list[TimeRange]:
    """The times that each scan of a plan asks for; an unlimited range for a scan without conditions on `timestamp`."""
    return [time_range(scan.get("Filters", [])) for scan in _scans(plan)]


def time_range(filters: str | Sequence[str]) -> TimeRange:
    """What the conditions, all of which hold for a row that is read, say about its time."""
    first_us, last_us = _EARLIEST, _LATEST
    for condition in [filters] if isinstance(filters, str) else filters:
        if not _CONDITIONS.fullmatch(condition):
            continue
        for operator, text in _CONDITION.findall(condition):
            try:
                at_us = parse_iso(text)
            except (Invalid, OverflowError):
                continue
            if operator in (">", ">=", "="):
                first_us = max(first_us, at_us + (operator == ">"))
            if operator in ("<", "<=", "="):
                last_us = min(last_us, at_us - (operator == "<"))
    return TimeRange(first_us, last_us)


def _scans(plan: Any) -> Iterator[dict[str, Any]]:
    stack = [plan]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            stack.extend(node.get("children", []))
            if node.get("name") == "READ_PARQUET":
                yield node.get("extra_info", {})
