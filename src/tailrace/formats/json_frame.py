"""Where the lines of a JSON body are: NDJSON, the elements of an array, or one object that may span lines."""

from __future__ import annotations

import msgspec
import numpy as np

from tailrace.formats.base import PAD_BYTES, Lines
from tailrace.formats.lines import IS_BLANK, frame_lines, padded, spans, unescaped_quotes

_BLANK = b" \t\r\n"


def frame(body: bytes | memoryview) -> Lines:
    """Lines of NDJSON, elements of an array, or the one object: told by the first byte, and by whether it is whole."""
    head = bytes(body[:3]).removeprefix(b"\xef\xbb\xbf") + bytes(body[3:256])
    first = head.lstrip(_BLANK)[:1]
    if first == b"[" or not first:
        framed = _frame_array(body)
        if framed is not None:
            return framed
    lines = frame_lines(body)
    if first == b"{" and lines.count > 1 and not _is_json(lines.text(0)):
        whole = bytes(lines.buffer[: lines.size])
        if _is_json(whole):
            controls = np.flatnonzero(lines.buffer[: lines.size] < 0x20)
            return spans(lines.buffer, lines.size, np.array([0]), np.array([lines.size]), controls)
    return lines


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _frame_array(body: bytes | memoryview) -> Lines | None:
    """The elements of an array that ends where the body does, whether each is valid or not. None: no such array.

    Commas at depth one, outside strings, divide them. Nothing between two commas is no element.
    """
    buffer = padded(body)
    size = len(buffer) - PAD_BYTES
    text = buffer[:size]
    if bytes(text).lstrip(_BLANK)[:1] != b"[":
        return None
    quotes = unescaped_quotes(buffer)
    signs = np.flatnonzero(np.isin(text, np.frombuffer(b"[]{},", np.uint8)))
    signs = signs[np.searchsorted(quotes, signs) % 2 == 0]
    sign = text[signs]
    depth = np.cumsum(np.isin(sign, [0x5B, 0x7B]).astype(np.int64) - np.isin(sign, [0x5D, 0x7D]))
    closed = np.flatnonzero(depth == 0)
    if not len(closed) or text[signs[closed[0]]] != 0x5D or bytes(text[signs[closed[0]] + 1 :]).strip(_BLANK):
        return None
    commas = signs[(sign == 0x2C) & (depth == 1)]
    start = np.concatenate([signs[:1] + 1, commas + 1])
    end = np.concatenate([commas, signs[closed[0]][None]])
    return _stripped(spans(buffer, size, start, end, np.flatnonzero(text < 0x20)))


def _stripped(lines: Lines) -> Lines:
    """Elements without the blanks around them."""
    touched = IS_BLANK[lines.buffer[lines.start]] | IS_BLANK[lines.buffer[lines.end - 1]]
    for row in np.flatnonzero(touched).tolist():
        text = lines.text(row)
        lines.start[row] += len(text) - len(text.lstrip(_BLANK))
        lines.end[row] -= len(text) - len(text.rstrip(_BLANK))
    return lines
