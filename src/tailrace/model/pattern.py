"""Regular expressions of users: RE2's, which match in a time linear in the text. Checked when settings are read."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_PREFIX = "Invalid regular expression: "
_UNNAMED = re.compile(r"(?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[(]|\((?=\?))*(\()", re.DOTALL)


def check(pattern: str) -> None:
    """Raises ValueError, saying what is wrong and from which character on, unless RE2 takes `pattern`."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(_explained(pattern, str(error).removeprefix(_PREFIX))) from error


def group_names(pattern: str) -> tuple[str, ...]:
    """The names of the groups, in order. Raises ValueError unless RE2 takes `pattern` and every group has a name of its own."""
    check(pattern)
    try:
        spans = pc.extract_regex_span(pa.array([""]), pattern=pattern).type
    except pa.ArrowInvalid as error:
        found = _UNNAMED.match(pattern)
        at = f" at character {found.start(1) + 1}" if found else ""
        raise ValueError(
            f"a group has no name{at}: write (?P<name>...), or (?:...) for one that is not kept"
        ) from error
    names = tuple(spans.field(at).name for at in range(spans.num_fields))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two groups are called `{twice}`: give each a name of its own")
    return names


def _explained(pattern: str, said: str) -> str:
    """RE2 quotes the piece that it does not take; its place is found again in the pattern."""
    piece = said.rpartition(": ")[2]
    at = pattern.find(piece) if piece and piece != pattern else -1
    text = f"{said} (character {at + 1})" if at >= 0 else said
    if piece.startswith(("(?=", "(?!", "(?<=", "(?<!")) or re.fullmatch(r"\\[1-9]", piece):
        text += "; RE2 has no lookaround and no back references"
    return text
