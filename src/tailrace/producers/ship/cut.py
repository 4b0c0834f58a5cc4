"""Where a block of a file may end, so that no line and no record is cut in two. Pure; no object a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tailrace.formats.records import frame
from tailrace.model.line_format import Multiline
from tailrace.model.verdict import Verdict

BLOCK_BYTES = 2 << 20
"""A post holds about so much."""
LINE_BYTES_MAX = 16 << 20
"""A line or record longer than this is sent in pieces; the node keeps them as dead letters, so that nothing is lost."""
_BOM = b"\xef\xbb\xbf"

Cut = Callable[[bytes], int]
"""How many bytes of a block can be sent now: 0 if its one line or record has not ended."""


def after_last_line(block: bytes) -> int:
    return block.rfind(b"\n") + 1


def cut_for(multiline: Multiline | None) -> Cut:
    return partial(before_last_record, multiline) if multiline else after_last_line


def before_last_record(multiline: Multiline, block: bytes) -> int:
    """The last record may go on in the next line, so the block ends before it. Lines that no record begins before are sent."""
    whole = after_last_line(block)
    lines = frame(multiline, block[:whole])
    if not lines.count:
        return whole
    if lines.verdict[-1] == Verdict.NO_BEGINNING:
        return whole
    return int(lines.start[-1]) + (len(_BOM) if block.startswith(_BOM) else 0)


def halves(block: bytes, cut: Cut) -> int:
    """Where to divide a block that was too large: after a line or record near its middle, or else in the middle of a line."""
    middle = max(len(block) // 2, 1)
    return cut(block[:middle]) or (block.find(b"\n", middle, len(block) - 1) + 1) or middle
