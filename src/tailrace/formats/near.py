"""How far a line fits a pattern that is not found in it. For people who write one; called by `tailrace formats try`."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.model.line_format import LineFormat

_LINE_CHARS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Near:
    """`fits`: the longest beginning of the pattern that is found in the line; `wants`: what stands after it in the pattern.

    `at`: characters of the line up to the end of what it found; `there`: what stands there in the line.
    """

    fits: str
    wants: str
    at: int
    there: str


def near(definition: LineFormat, line: str) -> Near:
    """Tries the beginnings of the pattern, the longest first; those that are no patterns by themselves are passed over."""
    text = line[:_LINE_CHARS_MAX]
    pattern = definition.pattern
    for size in range(len(pattern), 0, -1):
        end = _end(pattern[:size], text, many=definition.multiline is not None)
        if end is not None:
            return Near(pattern[:size], pattern[size:], end, text[end:])
    return Near("", pattern, 0, text)


def _end(pattern: str, text: str, *, many: bool) -> int | None:
    """Where the text that `pattern` is found in ends, in characters; None if it is not found or is no pattern."""
    if pattern.endswith("\\"):
        return None
    expression = f"(?P<all_>(?s:{pattern}))" if many else f"(?P<all_>{pattern})"
    try:
        found = pc.extract_regex_span(pa.array([text]), pattern=expression)
    except pa.ArrowInvalid:
        return None
    if not found[0].is_valid:
        return None
    start, size = found.field(0)[0].as_py()
    return len(text.encode()[: start + size].decode(errors="replace"))
