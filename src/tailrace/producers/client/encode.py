"""A record of the application as one line of JSON. Whatever a value is, there is a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def _other(value: Any) -> Any:
    """What JSON has nothing for: sets as lists, mappings as objects, all else as its text."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return list(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_other)


def line_of(record: Mapping[str, Any]) -> bytes:
    """Without a line end. Raises whatever the values' own code raises, and what msgspec raises for keys or depths that cannot be."""
    try:
        return _ENCODER.encode(record if type(record) is dict else dict(record))
    except (TypeError, ValueError, UnicodeError, RecursionError):
        return _ENCODER.encode({str(key): _plain(value) for key, value in record.items()})


def _plain(value: Any) -> str | int | float | bool | None:
    """A value that certainly can be encoded: text without half surrogate pairs where it is no number."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return value
    return str(value).encode("utf-8", "replace").decode()
