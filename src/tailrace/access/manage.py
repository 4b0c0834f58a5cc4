"""Making, changing and removing users and keys: what the API and the commands do alike. Each is noted in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tailrace.access import audit
from tailrace.access.model import AuditRow, KeyRow, SessionRow, UserRow, check_label, check_name
from tailrace.access.passwords import digest, hash_password, new_key_secret, new_password
from tailrace.access.store import AccessStore
from tailrace.errors import Invalid
from tailrace.model.scopes import Grants, parse_grants
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id

KEY_ID_PREFIX = "TR"
EXPIRES_S_MAX = 10 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class NewUser:
    """`password`: shown this once; empty where somebody chose it."""

    user: UserRow
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret`: shown this once."""

    key: KeyRow
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Manager:
    """On behalf of `actor` at `address`. May block for as long as a password is hashed."""

    store: AccessStore
    clock: Clock
    actor: str
    address: str = ""

    def add_user(self, name: str, scopes: Sequence[str], password: str | None = None) -> NewUser:
        """Without a password one is made. Raises Invalid, Conflict."""
        grants = parse_grants(scopes)
        made = "" if password is not None else new_password()
        now_us = self.clock.now_us()
        hashed = hash_password(made if password is None else password)
        user = UserRow(name=check_name(name), password=hashed, grants=grants, created_us=now_us, changed_us=now_us)
        self.store.add_user(user)
        self._note("user.add", user.name, _said(grants))
        return NewUser(user, made)

    def set_scopes(self, name: str, scopes: Sequence[str]) -> Grants:
        """Raises Invalid, NotFound, Conflict."""
        grants = parse_grants(scopes)
        self.store.set_scopes(name, grants, self.clock.now_us())
        self._note("user.scopes", name, _said(grants))
        return grants

    def set_password(self, name: str, password: str | None = None, keep_session: str = "") -> tuple[str, int]:
        """The password that was made, empty where one was given; and how many sessions have ended. Raises Invalid, NotFound."""
        made = "" if password is not None else new_password()
        hashed = hash_password(made if password is None else password)
        ended = self.store.set_password(name, hashed, self.clock.now_us(), keep_session)
        self._note("user.password", name, f"{ended} sessions ended")
        return made, ended

    def remove_user(self, name: str) -> None:
        """Raises NotFound, Conflict."""
        self.store.remove_user(name)
        self._note("user.remove", name)

    def add_key(self, name: str, scopes: Sequence[str], expires_s: int = 0, *, signs: bool = False) -> NewKey:
        """`expires_s`: from now, 0: never. `signs`: its secret is kept, to check signatures of the Kinesis API.

        Raises Invalid, Conflict.
        """
        if not 0 <= expires_s <= EXPIRES_S_MAX:
            raise Invalid(f"a key cannot expire after `{expires_s}` s", hint="ten years at most, or never")
        grants, now_us, secret = parse_grants(scopes), self.clock.now_us(), new_key_secret()
        key = KeyRow(
            id=f"{KEY_ID_PREFIX}{unique_id().upper()}",
            name=check_label(name),
            digest=digest(secret),
            secret=secret if signs else "",
            grants=grants,
            created_us=now_us,
            created_by=self.actor,
            expires_us=now_us + expires_s * 1_000_000 if expires_s else 0,
        )
        self.store.add_key(key)
        self._note("key.add", key.id, f"{key.name}: {_said(grants)}")
        return NewKey(key, secret)

    def revoke_key(self, key_id: str) -> KeyRow:
        """Raises NotFound."""
        key = self.store.revoke_key(key_id)
        self._note("key.revoke", key_id, key.name)
        return key

    def end_session(self, session_id: str) -> SessionRow:
        """Raises NotFound."""
        session = self.store.end_session(session_id)
        self._note("session.end", session_id, f"{session.kind}:{session.name}")
        return session

    def _note(self, action: str, target: str, detail: str = "") -> None:
        row = AuditRow(
            at_us=self.clock.now_us(),
            actor=self.actor,
            address=self.address,
            action=action,
            target=target,
            detail=detail,
        )
        audit.note(self.store, row)


def _said(grants: Grants) -> str:
    return ", ".join(grants.texts())
