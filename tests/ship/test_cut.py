"""Blocks are cut so that the node finds in them what it would find in the whole file."""

from __future__ import annotations

import functools
import operator

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.formats.records import frame
from tailrace.model.line_format import Multiline
from tailrace.producers.ship.cut import Cut, cut_for, halves

STARTS = Multiline(start=r"^\d")
INDENTED = Multiline(indented=True)
line = st.sampled_from(
    [b"1 begins", b"2", b"  at a", b"\tat b", b"goes on", b"", b"   ", b"\xff\xfe", b"3\r", b"x" * 40]
)
text = st.lists(line, max_size=30).map(lambda lines: b"".join(each + b"\n" for each in lines))


def blocks(whole: bytes, cut: Cut, size: int) -> list[bytes]:
    """As a file is read that is there already; what has no end yet is read again with more behind it."""
    found, start, wanted = [], 0, size
    while start < len(whole):
        block = whole[start : start + wanted]
        length = cut(block)
        if not length:
            if start + wanted >= len(whole):
                length = len(block)
            else:
                wanted *= 2
                continue
        found.append(block[:length])
        start, wanted = start + length, size
    return found


def records(multiline: Multiline, block: bytes) -> list[bytes]:
    lines = frame(multiline, block)
    return [lines.text(row) for row in range(lines.count)]


@settings(deadline=None)
@given(text, st.integers(1, 80), st.sampled_from([STARTS, INDENTED]))
def test_the_records_of_the_blocks_are_those_of_the_whole(whole: bytes, size: int, multiline: Multiline) -> None:
    found = blocks(whole, cut_for(multiline), size)
    assert b"".join(found) == whole
    assert functools.reduce(operator.iadd, (records(multiline, block) for block in found), []) == records(
        multiline, whole
    )


@settings(deadline=None)
@given(text, st.integers(1, 80))
def test_lines_are_never_cut(whole: bytes, size: int) -> None:
    found = blocks(whole, cut_for(None), size)
    assert b"".join(found) == whole
    assert all(block.endswith(b"\n") for block in found)


@settings(deadline=None)
@given(text.filter(lambda whole: len(whole) > 1), st.sampled_from([None, STARTS, INDENTED]))
def test_halves_are_both_smaller(whole: bytes, multiline: Multiline | None) -> None:
    at = halves(whole, cut_for(multiline))
    assert 0 < at < len(whole)
    assert at == len(whole) // 2 or whole[at - 1 : at] == b"\n" or b"\n" not in whole[: len(whole) // 2]
