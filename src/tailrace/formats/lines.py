"""Framing: a body becomes lines, and lines that no format could read get their verdict.

Called by every format. Newlines are found with one pass of numpy over the body; nothing is copied but the body itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailrace.formats.base import PAD_BYTES, Limits, Lines, dead
from tailrace.model.verdict import Verdict

_BLANK = b" \t\r\n"
IS_BLANK = np.isin(np.arange(256), np.frombuffer(_BLANK, np.uint8))
"""For each byte: is it one?"""
_QUOTE, _BACKSLASH = 0x22, 0x5C
_BOM = b"\xef\xbb\xbf"


def padded(body: bytes | memoryview) -> Any:
    """A uint8 array of the body, less a byte order mark at its start, and PAD_BYTES zeros."""
    text = np.frombuffer(body, np.uint8)
    if bytes(text[:3]) == _BOM:
        text = text[3:]
    buffer = np.empty(len(text) + PAD_BYTES, np.uint8)
    buffer[: len(text)] = text
    buffer[len(text) :] = 0
    return buffer


def frame_lines(body: bytes | memoryview) -> Lines:
    """One line for each `\\n` or `\\r\\n`; the last may have none. Lines of blanks only are skipped, but numbered."""
    buffer = padded(body)
    size = len(buffer) - PAD_BYTES
    controls = np.flatnonzero(buffer[:size] < 0x20)
    newlines = controls[buffer[controls] == 0x0A]
    if len(newlines) < len(controls):
        controls = controls[buffer[controls] != 0x0A]
    else:
        controls = controls[:0]
    start = np.empty(len(newlines) + 1, np.int64)
    start[0], start[1:] = 0, newlines + 1
    end = np.append(newlines, size)
    return spans(buffer, size, start, end, controls)


def spans(buffer: Any, size: int, start: Any, end: Any, controls: Any) -> Lines:
    """Lines at `start`..`end`, less a `\\r` at their end and those that are blank."""
    number = np.arange(len(start))
    if len(controls):
        end = end - ((end > start) & (buffer[end - 1] == 0x0D))
    keep = end > start
    blank_first = np.flatnonzero(keep & IS_BLANK[buffer[start]])
    for row in blank_first.tolist():
        keep[row] = bool(bytes(buffer[start[row] : end[row]]).strip(_BLANK))
    if not keep.all():
        start, end, number = start[keep], end[keep], number[keep]
    return Lines(buffer, size, start, end, number, np.zeros(len(start), np.uint8), controls)


def control_counts(lines: Lines) -> Any:
    """How many bytes below 0x20 each line holds."""
    if not len(lines.controls):
        return np.zeros(lines.count, np.int64)
    return np.searchsorted(lines.controls, lines.end) - np.searchsorted(lines.controls, lines.start)


def unescaped_quotes(buffer: Any, backslashes: Any = None) -> Any:
    """Positions of the quotes in `buffer` that no odd run of backslashes stands before. `backslashes`: their positions.

    The last byte of `buffer` must be no backslash.
    """
    quotes = np.flatnonzero(buffer == _QUOTE)
    backslashes = np.flatnonzero(buffer == _BACKSLASH) if backslashes is None else backslashes
    if not len(backslashes):
        return quotes
    begins = np.ones(len(backslashes), bool)
    begins[1:] = backslashes[1:] != backslashes[:-1] + 1
    run = backslashes - np.maximum.accumulate(np.where(begins, backslashes, 0)) + 1
    escaped = backslashes[(run % 2 == 1) & (buffer[backslashes + 1] == _QUOTE)] + 1
    return np.delete(quotes, np.searchsorted(quotes, escaped)) if len(escaped) else quotes


def judge_bytes(lines: Lines, limits: Limits) -> None:
    """Verdicts that need no format: too long, NUL bytes, not UTF-8 (in this order)."""
    dead(lines, lines.end - lines.start > limits.line_bytes_max, Verdict.TOO_LONG)
    if len(lines.controls):
        nul = lines.controls[lines.buffer[lines.controls] == 0]
        dead(lines, np.searchsorted(nul, lines.end) > np.searchsorted(nul, lines.start), Verdict.NUL_BYTE)
    if lines.size and lines.buffer.max() >= 0x80 and not _is_utf8(lines.buffer[: lines.size].data):
        high = np.flatnonzero(lines.buffer >= 0x80)
        touched = np.searchsorted(high, lines.end) > np.searchsorted(high, lines.start)
        bad = [row for row in np.flatnonzero(touched).tolist() if not _is_utf8(lines.text(row))]
        dead(lines, np.array(bad, np.int64), Verdict.NOT_UTF8)


def _is_utf8(text: bytes | memoryview) -> bool:
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def part(lines: Lines, first: int, last: int) -> Lines:
    """Rows `first`..`last` (exclusive) in a buffer of their own, so that the work on a huge body stays in the cache."""
    low, high = int(lines.start[first]), int(lines.end[last - 1])
    buffer = padded(lines.buffer[low:high].data)
    inside = slice(*np.searchsorted(lines.controls, [low, high]).tolist())
    rows = slice(first, last)
    return Lines(
        buffer,
        high - low,
        lines.start[rows] - low,
        lines.end[rows] - low,
        lines.number[rows],
        lines.verdict[rows],
        lines.controls[inside] - low,
    )
