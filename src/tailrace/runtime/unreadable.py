"""What reading JSON or MessagePack raises for bytes that are none, or not of the wanted shape."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""msgspec's own errors, and two that it lets through: text that is not UTF-8, values nested too deeply."""
