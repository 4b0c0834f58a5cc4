"""Paths to templates by the rules of the settings, once for each distinct path of a chunk. Called by `columns`.

A rule is a function of the path alone, so the record that both layers read is the same whenever it was decoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.formats.arrays import replaced
from tailrace.model.endpoint_rules import EndpointRule

_SEGMENTS = {
    "numbers": (r"[0-9]+", "{number}"),
    "uuids": (r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", "{uuid}"),
    "hex": (r"(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}+", "{hex}"),
}
_WILDCARDS = re.compile(r"(\*\*|\*)")


def templated(paths: pa.Array, rules: Sequence[EndpointRule]) -> tuple[pa.Array, Any]:
    """(the endpoints, ascending rows whose path they are not). The first rule that fits a path counts; null stays null."""
    encoded = paths.dictionary_encode()
    distinct = encoded.dictionary
    templates = _templates(distinct, rules)
    changed = pc.fill_null(pc.not_equal(distinct, templates), False).to_numpy(zero_copy_only=False)
    if not changed.any():
        return paths, np.zeros(0, np.int64)
    rows = np.flatnonzero(pc.fill_null(pa.array(changed).take(encoded.indices), False).to_numpy(zero_copy_only=False))
    return templates.take(encoded.indices), rows


def _templates(distinct: pa.Array, rules: Sequence[EndpointRule]) -> pa.Array:
    """Of each path of `distinct`, which has none twice."""
    templates, left = distinct, np.arange(len(distinct))
    for rule in rules:
        if not len(left):
            break
        chosen = distinct.take(pa.array(left))
        if rule.builtin:
            texts = [by_segment(path, rule.builtin) for path in chosen.to_pylist()]
            fits = np.array([text is not None for text in texts], bool)
            found = pa.array([text for text in texts if text is not None], pa.string())
        else:
            fits = pc.match_substring_regex(chosen, pattern=expression(rule.match)).to_numpy(zero_copy_only=False)
            found = pa.repeat(pa.scalar(rule.template, pa.string()), int(fits.sum()))
        if fits.any():
            templates = replaced(templates, left[fits], found)
            left = left[~fits]
    return templates


def expression(match: str) -> str:
    """RE2 for a rule's `match`; linear in the length of a path."""
    pieces = (
        (".*" if piece == "**" else "[^/]+") if piece[:1] == "*" else re.escape(piece)
        for piece in _WILDCARDS.split(match)
    )
    return f"(?s)\\A{''.join(pieces)}\\z"


def by_segment(path: str, kinds: tuple[str, ...]) -> str | None:
    """`path` with each segment of these kinds replaced; None if it has none."""
    pattern, names = _segment_pattern(kinds)
    replaced_by = pattern.sub(lambda found: names[found.lastindex or 0], path)
    return None if replaced_by == path else replaced_by


@lru_cache(maxsize=16)
def _segment_pattern(kinds: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A whole segment of one of the kinds, the first that it is; and what it becomes, by the number of its group."""
    either = "|".join(f"({_SEGMENTS[kind][0]})(?![^/])" for kind in kinds)
    return re.compile(f"(?<![^/])(?:{either})"), ("", *(_SEGMENTS[kind][1] for kind in kinds))
