"""Records as framed lines: each is one row, whatever bytes it has. Pure.

A log line is what stands in a record less line ends around it (Firehose wants one behind each record) and a byte order mark. A record
that the format reads as one over several lines, such as a JSON object or a stack trace, is one too. Any other with several lines is a
dead letter, as is one without text; their bytes are kept as they came, like all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailrace.formats.base import PAD_BYTES, Decoded, Format, Limits, Lines, Options, dead
from tailrace.formats.decode import decode_lines, with_whole
from tailrace.formats.lines import IS_BLANK
from tailrace.model.fields import Fields
from tailrace.model.verdict import Verdict

_NEWLINE, _RETURN = 0x0A, 0x0D
_BOM = b"\xef\xbb\xbf"


def decode_records(data: Sequence[bytes], format_: Format, fields: Fields, limits: Limits, options: Options) -> Decoded:
    """One row for each of `data` (one at least), the raw lines as they came."""
    lines, start, end = frame_records(data, format_)
    decoded = decode_lines(lines, format_, fields, limits, options)
    same = bool((lines.start == start).all() and (lines.end == end).all())
    return decoded if same else with_whole(decoded, lines, start, end)


def frame_records(data: Sequence[bytes], format_: Format) -> tuple[Lines, Any, Any]:
    """The lines, and where the whole records begin and end in their buffer."""
    text = bytearray(b"\n").join([*data, bytes(PAD_BYTES)])
    buffer = np.frombuffer(text, np.uint8)
    sizes = np.fromiter(map(len, data), np.int64, len(data))
    whole_end = np.cumsum(sizes + 1) - 1
    whole_start = whole_end - sizes
    size = len(buffer) - PAD_BYTES
    start, end = _trimmed(buffer, whole_start, whole_end)
    controls = np.flatnonzero(buffer[:size] < 0x20)
    lines = Lines(buffer, size, start, end, np.arange(len(data)), np.zeros(len(data), np.uint8), controls)
    _frame_blank(lines, whole_start)
    _frame_several(lines, format_)
    return lines, whole_start, whole_end


def _trimmed(buffer: Any, start: Any, end: Any) -> tuple[Any, Any]:
    """Less one line end behind each, and a byte order mark; the few with more around them are looked at one by one."""
    last = buffer[end - 1]
    end = end - ((end > start) & (last == _NEWLINE))
    end = end - ((end > start) & (buffer[end - 1] == _RETURN))
    start = start.copy()
    first = buffer[start]
    marked = np.flatnonzero((first == _BOM[0]) & (end - start >= len(_BOM)))
    for row in marked.tolist():
        if bytes(buffer[start[row] : start[row] + len(_BOM)]) == _BOM:
            start[row] += len(_BOM)
    more = (end > start) & (IS_BLANK[buffer[start]] | IS_BLANK[buffer[end - 1]])
    for row in np.flatnonzero(more).tolist():
        text = bytes(buffer[start[row] : end[row]])
        end[row] -= len(text) - len(text.rstrip(b"\r\n"))
        left = len(text) - len(text.lstrip(b"\r\n"))
        start[row] = min(start[row] + left, end[row])
    return start, end


def _frame_blank(lines: Lines, whole_start: Any) -> None:
    """Those without text get their verdict, and the one byte at their place, so that no later step meets an empty line."""
    blank = lines.end <= lines.start
    maybe = np.flatnonzero(~blank & IS_BLANK[lines.buffer[lines.start]])
    blank[[row for row in maybe.tolist() if not lines.text(row).strip()]] = True
    rows = np.flatnonzero(blank)
    if len(rows):
        lines.start[rows] = whole_start[rows]
        lines.end[rows] = whole_start[rows] + 1
        dead(lines, rows, Verdict.BLANK)


def _frame_several(lines: Lines, format_: Format) -> None:
    newlines = lines.controls[lines.buffer[lines.controls] == _NEWLINE]
    inside = np.searchsorted(newlines, lines.end) > np.searchsorted(newlines, lines.start)
    for row in np.flatnonzero(inside & (lines.verdict == 0)).tolist():
        found = format_.frame(lines.text(row))
        if found.count != 1:
            dead(lines, np.array([row]), Verdict.SEVERAL_LINES)
            continue
        lines.end[row] = lines.start[row] + found.end[0]
        lines.start[row] += found.start[0]
