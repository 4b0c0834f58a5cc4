"""How rotation names the files it puts aside. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_DATE = r"[.-]\d{4}-?\d\d-?\d\d(?:[-_.T]?\d\d(?:[:-]?\d\d){0,2}|[.-]\d{1,10})?"
_BEHIND = rf"(?:[.-]\d{{1,4}}|{_DATE}|[.-]\d{{9,10}}|[.-](?:old|bak|prev))"
_BEFORE_ENDING = rf"(?:\.\d{{1,4}}|{_DATE}|[.-]\d{{9,10}})"

_PACKED = re.compile(r"\.(?:gz|gzip)$")
_BEHIND_ALONE, _BEFORE_ALONE = re.compile(_BEHIND), re.compile(_BEFORE_ENDING)
_SPLITS = tuple(
    re.compile(rf"(?P<stem>.+{lazy}){aside}{ending}")
    for lazy in ("?", "")
    for aside, ending in ((_BEHIND, ""), (_BEFORE_ENDING, r"(?P<ending>\.[^.]+)"))
)


def is_put_aside(name: str, base: str) -> bool:
    """Whether `name` is one that logrotate and its like give to an earlier `base`: app.log.1, app.log-20261123.gz, app-20261123.log."""
    plain = _PACKED.sub("", name)
    if plain == base:
        return name != base
    if plain.startswith(base) and _BEHIND_ALONE.fullmatch(plain, len(base)):
        return True
    stem, dot, ending = base.rpartition(".")
    if not stem or not plain.startswith(stem) or not plain.endswith(dot + ending):
        return False
    return _BEFORE_ALONE.fullmatch(plain, len(stem), len(plain) - len(dot + ending)) is not None


def bases_of(name: str) -> Iterator[str]:
    """The names that `name` may have been put aside from; `is_put_aside` holds for each."""
    plain = _PACKED.sub("", name)
    candidates = {plain}
    for pattern in _SPLITS:
        found = pattern.fullmatch(plain)
        if found:
            candidates.add(found["stem"] + (found.groupdict().get("ending") or ""))
    yield from (base for base in sorted(candidates) if is_put_aside(name, base))
