"""Report the longest files and functions, so that growth is seen while it is small.

A report, not a limit: `make check` prints it and never fails for it. The ratchet lives in `tests/repo/test_sizes.py`:
what has just crossed a line is refused, what is far over it is shown here until someone splits it by reason to change.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

FUNCTION_LINES = 70
FILE_LINES = 600


class Size(NamedTuple):
    lines: int
    place: str


def files(root: Path) -> list[Size]:
    """All Python files below `root`, longest first."""
    sizes = [
        Size(len(file.read_bytes().splitlines()), str(file.relative_to(root.parent))) for file in root.rglob("*.py")
    ]
    return sorted(sizes, reverse=True)


def functions(root: Path) -> list[Size]:
    """All functions and methods below `root`, longest first; a nested function also counts in the outer one."""
    sizes = []
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                place = f"{file.relative_to(root.parent)}:{node.name}"
                sizes.append(Size(node.end_lineno - node.lineno + 1, place))
    return sorted(sizes, reverse=True)


def main(root: Path) -> None:
    for title, sizes, mark in (("files", files(root), FILE_LINES), ("functions", functions(root), FUNCTION_LINES)):
        if not sizes:
            continue
        over = [size for size in sizes if size.lines > mark]
        middle = sizes[len(sizes) // 2].lines
        print(f"{len(sizes)} {title}: median {middle} lines, longest {sizes[0].lines}, {len(over)} over {mark}")
        for size in over[:5]:
            print(f"  {size.lines:5}  {size.place}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "src").resolve() / "tailrace")
