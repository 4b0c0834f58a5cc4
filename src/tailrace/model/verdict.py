"""The verdict on one line: 0 is good, anything else is a dead letter with a reason a person can act on."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """Stored as uint8 in blocks: never renumber, only add."""

    GOOD = 0
    NOT_UTF8 = 1
    NUL_BYTE = 2
    TOO_LONG = 3
    MALFORMED = 4
    NOT_AN_OBJECT = 5
    TOO_DEEP = 6
    NO_TIMESTAMP = 7
    BAD_TIMESTAMP = 8
    TOO_FAR_AHEAD = 9
    NO_BEGINNING = 10
    SEVERAL_LINES = 11
    BLANK = 12


REASONS: dict[Verdict, str] = {
    Verdict.NOT_UTF8: "not valid UTF-8",
    Verdict.NUL_BYTE: "contains a NUL byte",
    Verdict.TOO_LONG: "line is longer than the limit",
    Verdict.MALFORMED: "does not parse in the declared format",
    Verdict.NOT_AN_OBJECT: "is JSON, but not an object",
    Verdict.TOO_DEEP: "is nested deeper than the limit",
    Verdict.NO_TIMESTAMP: "has no timestamp",
    Verdict.BAD_TIMESTAMP: "has a timestamp that cannot be read",
    Verdict.TOO_FAR_AHEAD: "has a timestamp further in the future than the limit",
    Verdict.NO_BEGINNING: "continues a record whose beginning is not in the same post",
    Verdict.SEVERAL_LINES: "is one record of the stream, but holds several lines",
    Verdict.BLANK: "is a record of the stream without text",
}
