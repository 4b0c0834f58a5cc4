"""What a post is made of, in the numbers that a view will have: the ground truth, whole numbers throughout. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailrace.producers.draft import FINE, POISONS, Draft

WINDOW_US = 10_000_000
"""Of the view `records_by_service`, which verify compares with."""
Cell = tuple[int, int, int, int]
"""(window, key, records, response time in microseconds): windows of ten seconds since 1970; key = endpoint x codes + code."""


@dataclass(frozen=True, slots=True)
class PostTruth:
    """`dead`: verdict -> lines that cannot be read. `cells`: of the others, ascending."""

    lines: int
    dead: Mapping[str, int]
    cells: tuple[Cell, ...]

    @property
    def dead_lines(self) -> int:
        return sum(self.dead.values())


def truth_of(draft: Draft, statuses: Any) -> PostTruth:
    """`statuses`: the codes of the run, ascending; a draft has no others."""
    good = draft.poison == FINE
    at_us = draft.at_us[good] // 1000 * 1000
    key = draft.endpoint[good] * len(statuses) + np.searchsorted(statuses, draft.status[good])
    keys = int(key.max(initial=0)) + 1
    codes, place, counts = np.unique(at_us // WINDOW_US * keys + key, return_inverse=True, return_counts=True)
    # Doubles hold these sums exactly: a post's times are far below 2**53 microseconds.
    sums = np.bincount(place, draft.response_us[good], len(codes)).astype(np.int64)
    windows, kept = np.divmod(codes, keys)
    kinds = np.bincount(draft.poison, minlength=len(POISONS)).tolist()
    dead = {POISONS[kind]: kinds[kind] for kind in range(1, len(POISONS)) if kinds[kind]}
    return PostTruth(
        len(draft), dead, tuple(zip(windows.tolist(), kept.tolist(), counts.tolist(), sums.tolist(), strict=True))
    )
