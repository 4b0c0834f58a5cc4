"""Rules for endpoints, proposed from the paths that a log has. For people who write them; called by `tailrace endpoints suggest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tailrace.model.endpoint_rules import EndpointRule

WILDCARD = "*"
Segments = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A rule, and what it would make one endpoint of: `paths` different ones in `lines` lines, `example` the commonest."""

    rule: EndpointRule
    lines: int
    paths: int
    example: str


def suggest(counts: Mapping[str, int], distinct_min: int) -> list[Suggestion]:
    """Those with the most lines first. `counts`: lines by path. A place in a path with at least `distinct_min` different segments,
    after the same segments before it, is taken for a variable; but never the first, which names what the path is about."""
    shapes: dict[Segments, list[str]] = {}
    split = [(tuple(path.split("/")), path) for path in sorted(counts) if WILDCARD not in path]
    for shape, path in _shapes((), split, distinct_min):
        shapes.setdefault(shape, []).append(path)
    found = [_suggestion(shape, paths, counts) for shape, paths in shapes.items() if WILDCARD in shape]
    return sorted(found, key=lambda each: (-each.lines, each.rule.match))


def _shapes(
    before: Segments, paths: Sequence[tuple[Segments, str]], distinct_min: int
) -> Iterator[tuple[Segments, str]]:
    """(segments with WILDCARD where they vary, path) of each path; all of them begin alike, as `before` says."""
    at = len(before)
    groups: dict[str, list[tuple[Segments, str]]] = {}
    for segments, path in paths:
        if len(segments) == at:
            yield before, path
        else:
            groups.setdefault(segments[at], []).append((segments, path))
    varying = [name for name in groups if name]
    if len(varying) >= distinct_min and any(before):
        together = [each for name in varying for each in groups.pop(name)]
        groups[WILDCARD] = together
    for name, group in groups.items():
        yield from _shapes((*before, name), group, distinct_min)


def _suggestion(shape: Segments, paths: Sequence[str], counts: Mapping[str, int]) -> Suggestion:
    rule = EndpointRule("/".join(shape), "/".join("{id}" if segment == WILDCARD else segment for segment in shape))
    example = max(paths, key=lambda path: (counts[path], path))
    return Suggestion(rule, sum(counts[path] for path in paths), len(paths), example)
