"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`status`: ok, warn (works, but look at it) or fail. `next`: what to do; empty where it is ok."""

    check: str
    status: str
    detail: str
    next: str = ""
