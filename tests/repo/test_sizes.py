"""The ratchet on length, after TigerBeetle's: a small function may not slip over the line unseen.

It fires only on what is a little over. A function or file that is far over stays allowed and stands in the report of
`make check`, so nobody splits code by count alone.
"""

from __future__ import annotations

from pathlib import Path

from tests.repo.files import ROOT
from tools import sizes

SOURCE = ROOT / "src" / "tailrace"


def test_no_function_has_just_crossed_one_screen() -> None:
    limit = sizes.FUNCTION_LINES
    assert [size for size in sizes.functions(SOURCE) if limit < size.lines <= limit + 2] == []


def test_no_file_has_just_become_too_long() -> None:
    limit = sizes.FILE_LINES
    assert [size for size in sizes.files(SOURCE) if limit < size.lines <= limit + 10] == []


def test_lengths_are_counted_as_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "def short():\n    pass\n\n\nclass A:\n    async def long(self):\n        pass\n\n        pass\n"
    )
    assert [(size.lines, size.place.split(":")[1]) for size in sizes.functions(tmp_path)] == [(4, "long"), (2, "short")]
    assert [size.lines for size in sizes.files(tmp_path)] == [9]
