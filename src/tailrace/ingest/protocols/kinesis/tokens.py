"""Opaque tokens that a client hands back: shard iterators, and places in a listing. Self-checking, five minutes long. Pure.

Layout: base64url of kind byte, time it was made (ms, 8 bytes), numbers (8 bytes each), and eight bytes of BLAKE2b over that and the
stream's identity, so that a token of another stream, or a changed one, is none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence

LIFETIME_MS = 300_000
_CHECK_BYTES = 8
_HEAD = struct.Struct(">BQ")


def make(kind: int, stream: str, numbers: Sequence[int], now_ms: int) -> str:
    """`numbers`: not negative, below 2**63. `stream`: what identifies it."""
    body = _HEAD.pack(kind, now_ms) + struct.pack(f">{len(numbers)}q", *numbers)
    return base64.urlsafe_b64encode(body + _check(body, stream)).decode()


def read(kind: int, stream: str, count: int, token: str) -> tuple[int, tuple[int, ...]] | None:
    """When it was made (ms) and its `count` numbers; None for what `make` has not given."""
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if len(body) != _HEAD.size + 8 * count or check != _check(body, stream):
        return None
    found, made_ms = _HEAD.unpack_from(body)
    return (made_ms, struct.unpack_from(f">{count}q", body, _HEAD.size)) if found == kind else None


def is_expired(made_ms: int, now_ms: int) -> bool:
    """Also if it was made later than the tolerated time ahead: then the clock has been set back."""
    return not -LIFETIME_MS <= now_ms - made_ms <= LIFETIME_MS


def _check(body: bytes, stream: str) -> bytes:
    return hashlib.blake2b(body + stream.encode(), digest_size=_CHECK_BYTES).digest()
