"""Lines read by a regular expression of the settings (`[[formats]]`), whole columns at a time, in time linear in their length.

Arrow's RE2 gives the place of each group in each line; from there on a value is treated as that of any format. Of several groups
that feed one field, the first that took part in the match counts; the others, and groups that feed none, go to `extra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.formats import records, stamps
from tailrace.formats.arrays import gather, json_objects, json_strings
from tailrace.formats.base import ABSENT, STRING, Format, Limits, Lines, Options, Record, Side, Tokens, dead
from tailrace.formats.lines import frame_lines
from tailrace.formats.words import equals
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.model.line_format import Group, LineFormat
from tailrace.model.verdict import Verdict


@lru_cache(maxsize=64)
def regex_format(definition: LineFormat) -> Format:
    about = f"of the settings: {definition.pattern}"
    frame = partial(records.frame, definition.multiline) if definition.multiline else frame_lines
    return Format(definition.name, about, frame, partial(tokenize, definition))


def tokenize(definition: LineFormat, lines: Lines, fields: Fields, limits: Limits, options: Options) -> Record:
    """Lines that the pattern is not found in are dead letters."""
    found = _spans(definition, lines)
    tokens = {each.name: Tokens.absent(lines.count) for each in fields.all}
    for field in fields.all:
        feeding = [group for group in definition.groups if group.field == field.name]
        if feeding:
            tokens[field.name] = _fed(field, feeding, found, lines)
    rest: list[tuple[str, pa.Array]] = []
    for name, each in found.items():
        absent = each.kind == ABSENT
        if not absent.all():
            rest.append((name, json_strings(gather(lines.buffer, each.start, each.end, absent, pa.string()))))
    return Record(tokens, json_objects(rest, lines.count), Side(lines.size))


def _spans(definition: LineFormat, lines: Lines) -> dict[str, Tokens]:
    """By group, where its text stands in each line. Sets the verdict of lines that do not match."""
    found = {group.name: Tokens.absent(lines.count) for group in definition.groups}
    rows = np.flatnonzero(lines.verdict == 0)
    if not len(rows):
        return found
    start = lines.start[rows]
    texts = gather(lines.buffer, start, lines.end[rows], np.zeros(len(rows), bool), pa.string())
    spans = pc.extract_regex_span(texts, pattern=definition.expression)
    matched = spans.is_valid().to_numpy(zero_copy_only=False)
    dead(lines, rows[~matched], Verdict.MALFORMED)
    for at, group in enumerate(definition.groups):
        child = spans.field(at)
        places = pc.fill_null(child.values, 0).to_numpy(zero_copy_only=False).reshape(-1, 2)
        took_part = matched & child.is_valid().to_numpy(zero_copy_only=False)
        tokens = found[group.name]
        tokens.start[rows] = start + np.where(took_part, places[:, 0], 0)
        tokens.end[rows] = tokens.start[rows] + np.where(took_part, places[:, 1], 0)
        tokens.kind[rows[took_part]] = STRING
        tokens.drop(_means_nothing(tokens, definition.absent, lines.buffer))
    return found


def _means_nothing(tokens: Tokens, absent: Sequence[str], buffer: Any) -> Any:
    """Mask: is the text one of `absent`?"""
    nothing = np.zeros(len(tokens.start), bool)
    for text in (each.encode() for each in absent):
        rows = np.flatnonzero(tokens.end - tokens.start == len(text))
        nothing[rows] = equals(buffer, tokens.start[rows], text)
    return nothing


def _fed(field: Field, groups: Sequence[Group], found: dict[str, Tokens], lines: Lines) -> Tokens:
    """The field's tokens; what they take of a group is no longer there for `extra`."""
    tokens = Tokens.absent(lines.count)
    tokens.shift = np.zeros(lines.count, np.int64)
    read_as = [_reading(field, group) for group in groups]
    special = field.kind is FieldKind.TIMESTAMP and any(each != ("", field.zone) for each in read_as)
    if special:
        tokens.instants = np.zeros(lines.count, np.int64), np.zeros(lines.count, bool)
    for group, (written, zone) in zip(groups, read_as, strict=True):
        each = found[group.name]
        chosen = (each.kind != ABSENT) & (tokens.kind == ABSENT)
        tokens.start[chosen], tokens.end[chosen] = each.start[chosen], each.end[chosen]
        tokens.kind[chosen], tokens.shift[chosen] = STRING, group.shift
        if tokens.instants is not None:
            micros, good = stamps.read(lines.buffer, each.start, each.end, chosen, written, zone)
            tokens.instants[0][chosen], tokens.instants[1][chosen] = micros[chosen], good[chosen]
        each.drop(chosen)
    if not tokens.shift.any():
        tokens.shift = 0
    return tokens


def _reading(field: Field, group: Group) -> tuple[str, str]:
    return group.stamp, group.zone or field.zone
