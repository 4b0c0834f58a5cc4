"""Fixed-width reads at any positions of a byte buffer, for whole columns at once.

One read of 32 bytes costs as much as one of 8 (a cache miss each), so texts are fetched in blocks of that size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 32


def blocks(buffer: Any, at: Any, width: int = BLOCK) -> Any:
    """uint8 array (n, width): the `width` bytes from each position. The buffer must reach that far."""
    windows = np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer.data, strides=(1,))
    return windows[at].view(np.uint8).reshape(len(at), width)


def characters(buffer: Any, at: Any, width: int) -> Iterator[Any]:
    """The 1st, 2nd, ... `width`-th byte of each text, as uint8 arrays of n entries."""
    for first in range(0, width, BLOCK):
        needed = width - first
        block = blocks(buffer, at + first, 8 if needed <= 8 else 16 if needed <= 16 else BLOCK)
        yield from np.ascontiguousarray(block.T[:needed])


def equals(buffer: Any, at: Any, literal: bytes) -> Any:
    """Mask: does the text at each position begin with `literal`?"""
    same = np.ones(len(at), bool)
    for first in range(0, len(literal), BLOCK):
        piece = literal[first : first + BLOCK]
        width = 8 if len(piece) <= 8 else 16 if len(piece) <= 16 else BLOCK
        found = blocks(buffer, at + first, width).view("<u8")
        mask = np.frombuffer((b"\xff" * len(piece)).ljust(width, b"\0"), "<u8")
        wanted = np.frombuffer(piece.ljust(width, b"\0"), "<u8")
        for word in range(-(-len(piece) // 8)):
            same &= (found[:, word] & mask[word]) == wanted[word]
    return same
