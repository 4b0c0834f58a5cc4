"""What is kept about access. None of it holds a secret that somebody could use, but `KeyRow.secret` where it says so."""

from __future__ import annotations

import re

import msgspec

from tailrace.errors import Invalid
from tailrace.model.scopes import Grants

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}")
_LABEL_CHARS_MAX = 100


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """`password`: an argon2 hash. Names are told apart without their case."""

    name: str
    password: str
    grants: Grants
    created_us: int
    changed_us: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """`digest`: SHA-256 of the secret. `secret`: itself, only of a key that signs requests of the Kinesis API.

    `expires_us`, `used_us`: 0: never.
    """

    id: str
    name: str
    digest: bytes
    secret: str
    grants: Grants
    created_us: int
    created_by: str
    expires_us: int = 0
    used_us: int = 0


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`digest`: SHA-256 of the token in the cookie. `id`: to name it by. `kind`, `name`: of the user, or the key, that logged in."""

    digest: bytes
    id: str
    kind: str
    name: str
    created_us: int
    seen_us: int
    expires_us: int
    address: str
    agent: str


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` did `action` to `target`. `outcome`: done, refused, or the status of an answer that was an error."""

    at_us: int
    actor: str
    address: str
    action: str
    target: str = ""
    outcome: str = "done"
    detail: str = ""


def check_name(name: str) -> str:
    """Of a user. Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"`{name[:80]}` cannot be the name of a user",
            hint="letters, digits, _ . @ + and -, 64 at most, such as ada",
        )
    return name


def check_label(label: str) -> str:
    """What a key is for, in words. Raises Invalid."""
    label = label.strip()
    if not label or len(label) > _LABEL_CHARS_MAX or not label.isprintable():
        raise Invalid(
            "a key needs a name", hint=f"what it is for, {_LABEL_CHARS_MAX} characters at most: fluent-bit web-1"
        )
    return label
