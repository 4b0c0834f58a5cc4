"""Passwords: argon2id, with the parameters of RFC 9106's second choice (64 MiB, 3 passes, 4 lanes), as argon2-cffi sets them.

Secrets of keys and sessions are 32 bytes of chance. Nobody guesses those, however fast he can try: they are kept as SHA-256, which
costs a post a microsecond, where argon2 would cost it 50 milliseconds and 64 MiB.
"""

from __future__ import annotations

import hashlib
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tailrace.errors import Invalid
from tailrace.runtime.ids import token

PASSWORD_CHARS_MIN = 12
PASSWORD_BYTES_MAX = 1_024
KEY_PREFIX, SESSION_PREFIX = "trk_", "trs_"
"""So that scanners for secrets know one when they see it."""


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """A hash that no password has: it takes the time that a user's would."""
    return _hasher().hash(token())


def hash_password(password: str) -> str:
    """Raises Invalid for one that is too short or too long."""
    if len(password) < PASSWORD_CHARS_MIN:
        raise Invalid(
            f"the password has fewer than {PASSWORD_CHARS_MIN} characters",
            hint="take a few words that nobody else would",
        )
    if len(password.encode("utf-8", "replace")) > PASSWORD_BYTES_MAX:
        raise Invalid(f"the password has more than {PASSWORD_BYTES_MAX} bytes")
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def is_password(stored: str | None, password: str) -> bool:
    """Takes the same time whether it is wrong or there is no such user (`stored` None)."""
    given = password.encode("utf-8", "surrogatepass")[: PASSWORD_BYTES_MAX + 1]
    try:
        _hasher().verify(stored or _nobody(), given)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """It was hashed with weaker parameters than those of now."""
    return _hasher().check_needs_rehash(stored)


def new_password() -> str:
    """For a user whose first one nobody chose."""
    return token()[:24]


def new_key_secret() -> str:
    return KEY_PREFIX + token()


def new_session_token() -> str:
    return SESSION_PREFIX + token()


def digest(secret: str) -> bytes:
    """Of a secret that is all chance, never of a password."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
