"""Users, keys and sessions as the API and the commands show them: never a hash, never a secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tailrace.access.model import KeyRow, SessionRow, UserRow
from tailrace.config.settings import AccessKey
from tailrace.model.scopes import parse_grants
from tailrace.model.window import iso


def user_json(user: UserRow, sessions: Iterable[SessionRow] = ()) -> dict[str, Any]:
    own = [each for each in sessions if each.kind == "user" and each.name.lower() == user.name.lower()]
    return {
        "name": user.name,
        "scopes": user.grants.texts(),
        "created": iso(user.created_us),
        "changed": iso(user.changed_us),
        "sessions": len(own),
        "seen": iso(max(each.seen_us for each in own)) if own else None,
    }


def key_json(key: KeyRow) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.grants.texts(),
        "created": iso(key.created_us),
        "created_by": key.created_by,
        "expires": iso(key.expires_us) if key.expires_us else None,
        "used": iso(key.used_us) if key.used_us else None,
        "signs": bool(key.secret),
        "source": "made",
    }


def configured_json(key: AccessKey) -> dict[str, Any]:
    """One of the settings file: it is revoked there."""
    return {
        "id": key.id,
        "name": key.id,
        "scopes": parse_grants(key.scopes, key.streams).texts(),
        "created": None,
        "created_by": "tailrace.toml",
        "expires": None,
        "used": None,
        "signs": True,
        "source": "settings",
    }


def session_json(session: SessionRow, own_id: str) -> dict[str, Any]:
    """`own`: it is the one of who asks."""
    return {
        "id": session.id,
        "kind": session.kind,
        "name": session.name,
        "created": iso(session.created_us),
        "seen": iso(session.seen_us),
        "expires": iso(session.expires_us),
        "address": session.address,
        "agent": session.agent,
        "own": session.id == own_id,
    }
