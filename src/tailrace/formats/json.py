"""The fields of framed JSON lines: by shape where many lines share one, else one line at a time. Registered in `decode`."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tailrace.formats.arrays import gather, json_objects
from tailrace.formats.base import ABSENT, LITERAL, STRING, Limits, Lines, Options, Record, Side
from tailrace.formats.json_careful import members, tokenize_rows, unquoted
from tailrace.formats.json_match import Marks, Match, mark, match
from tailrace.formats.json_template import BRACKETS_MAX, Member, Template, learn
from tailrace.formats.parts import Part, Place, joined
from tailrace.model.fields import Fields
from tailrace.model.sources import Source, sources

_ROWS_MIN = 24
"""Fewer lines than this are read one at a time: a shape would cost more than it saves."""
_ROWS_WORTH = 128
"""A shape with fewer lines than this did not pay; after `_POOR_MAX` of them the rest is read one at a time."""
_POOR_MAX = 8
_RECENT_MAX = 64


class _Recent:
    """The shapes learned last, newest first, to be tried before another is learned. Replaced whole, so threads may share it."""

    shapes: tuple[Template, ...] = ()

    @classmethod
    def like(cls, text: bytes, quotes: int, depth_max: int) -> Template | None:
        """One with as many quotes as `text`, whose literals stand in it in their order."""
        for shape in cls.shapes:
            if shape.quotes == quotes and shape.depth <= depth_max and _in_order(shape.literals, text):
                return shape
        return None

    @classmethod
    def add(cls, shape: Template) -> None:
        cls.shapes = (shape, *cls.shapes[: _RECENT_MAX - 1])


def _in_order(literals: tuple[bytes, ...], text: bytes) -> bool:
    at = 0
    for literal in literals:
        found = text.find(literal, at)
        if found < 0:
            return False
        at = found + len(literal)
    return True


def tokenize(lines: Lines, fields: Fields, limits: Limits, options: Options) -> Record:
    """Shapes first, while each takes enough lines; what is left one line at a time."""
    plan, side = sources(fields), Side(lines.size)
    left = np.flatnonzero(lines.verdict == 0)
    parts: list[Part] = []
    if len(left) >= _ROWS_MIN:
        left, parts = _by_shape(lines, left, plan, limits, side)
    if len(left):
        parts.append((left, *tokenize_rows(lines, left, plan, lambda line: members(line, limits.depth_max), side)))
    return joined(parts, fields.names, lines.count, side)


def _by_shape(lines: Lines, left: Any, plan: tuple[Source, ...], limits: Limits, side: Side) -> tuple[Any, list[Part]]:
    """(lines that no shape took, what the others held). Each shape is that of the first line still left."""
    marks = mark(lines)
    parts: list[Part] = []
    alone: list[int] = []
    poor = 0
    while len(left) >= _ROWS_MIN and poor < _POOR_MAX:
        template, found = _first_shape(lines, marks, left, plan, limits)
        poor += not found or len(found.rows) < _ROWS_WORTH
        if not template or not found or not len(found.rows):
            alone.append(int(left[0]))
            left = left[1:]
            continue
        parts.append(_read(template, found, lines, plan, side))
        left = left[:0] if len(found.rows) == len(left) else np.setdiff1d(left, found.rows, assume_unique=True)
    return np.sort(np.append(left, np.array(alone, left.dtype))), parts


def _first_shape(
    lines: Lines, marks: Marks, left: Any, plan: tuple[Source, ...], limits: Limits
) -> tuple[Template | None, Match | None]:
    """The shape of the first line that is left, and the lines that have it. Posts tend to have the shapes of those before."""
    text = lines.text(int(left[0]))
    template = _Recent.like(text, int(marks.count[left[0]]), limits.depth_max)
    if template is not None:
        found = match(template, lines, marks, left, limits.depth_max)
        if len(found.rows) and found.rows[0] == left[0]:
            return template, _narrowed(template, found, lines, plan)
    template = _learn(text, limits)
    if template is None:
        return None, None
    _Recent.add(template)
    return template, _narrowed(template, match(template, lines, marks, left, limits.depth_max), lines, plan)


def _learn(text: bytes, limits: Limits) -> Template | None:
    """The shape of a line that is an object as it stands, no deeper than allowed."""
    if text.count(b"{") + text.count(b"[") > min(limits.depth_max, BRACKETS_MAX):
        return None
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
    return learn(text)


def _narrowed(template: Template, found: Match, lines: Lines, plan: tuple[Source, ...]) -> Match:
    """Without the lines in which a null makes the choice between a field's keys: those are for the careful way."""
    members = {member.key: member for member in template.members}
    keep = np.ones(len(found.rows), bool)
    for source in plan:
        present = [key for key in source.keys if key in members]
        if present and (len(present) > 1 or present[0] != source.own):
            keep &= ~_is_null(members[present[0]], template, found, lines)
    return found if keep.all() else found.narrowed(keep)


def _read(template: Template, found: Match, lines: Lines, plan: tuple[Source, ...], side: Side) -> Part:
    members = {member.key: member for member in template.members}
    places: dict[str, Place] = {}
    for source in plan:
        chosen = next((key for key in source.keys if key in members), None)
        if chosen is not None:
            places[source.field] = _place(members.pop(chosen), template, found, lines, side)
    nobody = np.zeros(len(found.rows), bool)
    rest = [
        (key, gather(lines.buffer, *_span(member, template, found), nobody, pa.string()))
        for key, member in members.items()
    ]
    return found.rows, places, json_objects(rest, len(found.rows))


def _span(member: Member, template: Template, found: Match) -> tuple[Any, Any]:
    """Start and end of the member's JSON text."""
    if member.slot < 0:
        (first, after_first), (last, after_last) = member.first, member.last
        return found.literals[first] + after_first, found.literals[last] + after_last
    quote = template.slots[member.slot].string
    return found.starts[member.slot] - quote, found.ends[member.slot] + quote


def _is_null(member: Member, template: Template, found: Match, lines: Lines) -> Any:
    """Mask: is the value null? (Of valid JSON values only null begins with n.)"""
    if member.slot < 0 or template.slots[member.slot].string:
        return np.zeros(len(found.rows), bool)
    return lines.buffer[found.starts[member.slot]] == ord("n")


def _place(member: Member, template: Template, found: Match, lines: Lines, side: Side) -> Place:
    count = len(found.rows)
    if member.slot < 0 or not template.slots[member.slot].string:
        kind = np.where(_is_null(member, template, found, lines), ABSENT, LITERAL).astype(np.uint8)
        return *_span(member, template, found), kind, found.scans[member.slot] if member.slot >= 0 else None
    start, end, escaped = (each[member.slot] for each in (found.starts, found.ends, found.escaped))
    if escaped is not None and escaped.any():
        start, end = start.copy(), end.copy()
        for row in np.flatnonzero(escaped).tolist():
            text = unquoted(bytes(lines.buffer[start[row] - 1 : end[row] + 1]))
            start[row] = side.add(text)
            end[row] = start[row] + len(text)
    return start, end, np.full(count, STRING, np.uint8), None
