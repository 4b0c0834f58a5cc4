"""Framing where a record may have many lines, such as an error with its stack trace. Called by formats of the settings.

Lines are joined within one post only. A record's bytes are those of its lines and of the line ends between them, unchanged;
its number is that of its first line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.formats.arrays import gather
from tailrace.formats.base import Lines
from tailrace.formats.lines import frame_lines
from tailrace.model.line_format import Multiline
from tailrace.model.verdict import Verdict


def frame(multiline: Multiline, body: bytes | memoryview) -> Lines:
    """One row a record. Lines before the first beginning continue something that is not here: a row each, and dead letters."""
    lines = frame_lines(body)
    if not lines.count:
        return lines
    heads = np.flatnonzero(_begins(multiline, lines))
    orphans = int(heads[0]) if len(heads) else lines.count
    first = np.concatenate([np.arange(orphans), heads])
    last = np.append(first[1:], lines.count) - 1
    verdict = np.zeros(len(first), np.uint8)
    verdict[:orphans] = Verdict.NO_BEGINNING
    start, end, number = lines.start[first], lines.end[last], lines.number[first]
    return Lines(lines.buffer, lines.size, start, end, number, verdict, lines.controls)


def _begins(multiline: Multiline, lines: Lines) -> Any:
    """Mask: does a record begin with this line?"""
    if multiline.indented:
        first = lines.buffer[lines.start]
        return (first != ord(" ")) & (first != ord("\t"))
    texts = gather(lines.buffer, lines.start, lines.end, np.zeros(lines.count, bool), pa.string())
    return pc.match_substring_regex(texts, pattern=multiline.start).to_numpy(zero_copy_only=False)
