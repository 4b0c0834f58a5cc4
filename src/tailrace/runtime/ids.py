"""Identifiers that must not repeat: the only use of chance."""

from __future__ import annotations

import secrets


def unique_id() -> str:
    """16 hex digits, unpredictable."""
    return secrets.token_hex(8)


def token() -> str:
    """43 letters, digits, - and _, of 32 bytes of chance: a secret."""
    return secrets.token_urlsafe(32)
