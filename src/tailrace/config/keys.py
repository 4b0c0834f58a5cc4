"""`[[keys]]` of the settings file: who may use the node. No message shows a secret."""

from __future__ import annotations

import re
from typing import Any

from tailrace.config.problem import SettingsFile
from tailrace.config.settings import AccessKey
from tailrace.errors import Invalid
from tailrace.model.scopes import SCOPES, parse_grants

KEYS_MAX = 64
SECRET_CHARS_MIN = 16
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_SECRET = re.compile(r"[!-~]{16,256}")
_MEMBERS = ("id", "secret", "scopes", "streams")


def read_keys(file: SettingsFile, given: Any) -> tuple[AccessKey, ...]:
    """Raises Invalid, naming the key by its place."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given) or len(given) > KEYS_MAX:
        raise file.wrong("keys", "what it is", f"tables: [[keys]] with id and secret, {KEYS_MAX} at most")
    keys = [_key(file, f"keys[{number}]", each) for number, each in enumerate(given)]
    seen: set[str] = set()
    for number, key in enumerate(keys):
        if key.id in seen:
            raise file.wrong(f"keys[{number}].id", key.id, "another id: each key has its own")
        seen.add(key.id)
    return tuple(keys)


def _key(file: SettingsFile, name: str, given: dict[str, Any]) -> AccessKey:
    for member in given:
        if member not in _MEMBERS:
            raise file.unknown(member, _MEMBERS, name)
    for member in ("id", "secret"):
        if member not in given:
            raise file.missing(f"{name}.{member}", "text, such as the id AKIALOGS and a secret of 40 characters")
    if not isinstance(given["id"], str) or not _ID.fullmatch(given["id"]):
        raise file.wrong(f"{name}.id", given["id"], "letters, digits, _ . and -, 128 at most")
    if not isinstance(given["secret"], str) or not _SECRET.fullmatch(given["secret"]):
        raise file.wrong(
            f"{name}.secret",
            "(not shown)",
            f"{SECRET_CHARS_MIN} to 256 characters without blanks; make one: openssl rand -base64 30",
        )
    return AccessKey(given["id"], given["secret"], *_limits(file, name, given))


def _limits(file: SettingsFile, name: str, given: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scopes and streams; all of them where the key names none."""
    for member in ("scopes", "streams"):
        value = given.get(member, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise file.wrong(f"{name}.{member}", value, 'a list of names, such as ["query"]')
    scopes = tuple(given.get("scopes", SCOPES))
    try:
        parse_grants(scopes, given.get("streams", []))
    except Invalid as error:
        member = "streams" if "stream" in error.message else "scopes"
        raise file.wrong(f"{name}.{member}", given.get(member, []), error.hint) from error
    return scopes, tuple(given.get("streams", []))
