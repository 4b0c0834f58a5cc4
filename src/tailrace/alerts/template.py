"""Texts of labels and annotations with places for values: `{{value}}`, `{{threshold}}`, any key or label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tailrace.errors import Invalid

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
CHARS_MAX = 4_000


def fill(template: str, values: Mapping[str, str]) -> str:
    """One pass: what a value contains is never filled again. A place that nobody knows stays as it is written."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)[:CHARS_MAX]


def check_template(template: str, known: Iterable[str]) -> None:
    """Raises Invalid for a place that is not among `known`."""
    names = set(known)
    for name in _PLACE.findall(template):
        if name not in names:
            raise Invalid(f"nothing is called `{{{{{name}}}}}` here", hint=f"there are: {', '.join(sorted(names))}")


def number_text(value: float | None, unit: str = "") -> str:
    """For people: at most four digits that count, thousands apart, the unit after it."""
    if value is None:
        return "no data"
    size = abs(value)
    digits = 0 if size >= 1000 or value == int(value) else 1 if size >= 100 else 2 if size >= 1 else 4
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".strip() if unit != "%" else f"{text} %"
