"""Who it is that shows a key or a cookie. Made once in each process that asks; answers from memory, which is at most half a second old.

A request costs one SHA-256 and a look into a dictionary. Twice a second, if there are requests, the file is asked whether anything has
changed; only then is it read again. A session is read when it is first shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tailrace.access.model import KeyRow, SessionRow, UserRow
from tailrace.access.passwords import digest
from tailrace.access.principal import KEY, USER, Principal
from tailrace.access.store import AccessStore
from tailrace.config.listen import is_loopback
from tailrace.config.settings import AccessKey, Settings
from tailrace.model.scopes import ALL, Grants, parse_grants
from tailrace.runtime.clock import Clock

LOOK_S = 0.5
SEEN_S = 60.0
"""How often it is written down that a key or session is in use."""


@dataclass(frozen=True, slots=True)
class Known:
    """A key, of the file or of the settings. `secret`: for signatures; empty: it signs nothing."""

    principal: Principal
    digest: bytes
    secret: str = field(repr=False)
    expires_us: int = 0

    def is_valid(self, now_us: int) -> bool:
        return not self.expires_us or now_us < self.expires_us


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody has shown: who it is, and the digest of the session's token, None where it was a key."""

    principal: Principal
    session: bytes | None = None


class Directory:
    """Any thread may ask."""

    def __init__(self, store: AccessStore, settings: Settings, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._access = settings.access
        self._always = settings.access.login_required or _is_reachable(settings)
        self._configured = [_configured(key) for key in settings.keys]
        self._local = [_local(settings.local_key)] if settings.local_key else []
        self._closed = bool(settings.keys)
        self._changes = -1
        self._looked_s = float("-inf")
        self._users: dict[str, UserRow] = {}
        self._by_digest: dict[bytes, Known] = {}
        self._by_id: dict[str, Known] = {}
        self._sessions: dict[bytes, SessionRow | None] = {}
        self._seen: dict[bytes | str, float] = {}

    def login_required(self) -> bool:
        """Whether those who are known are let in alone: there is a user or a key, others reach the address, or the settings say so."""
        self._look()
        return self._always or self._closed

    def by_secret(self, secret: str) -> Shown | None:
        """Of a key."""
        self._look()
        hashed = digest(secret)
        if hashed not in self._by_digest:
            self._look(now=True)  # it may have been made a moment ago
        return self._valid(self._by_digest.get(hashed))

    def by_id_and_secret(self, key_id: str, secret: str) -> Shown | None:
        self._look(now=key_id not in self._by_id)
        known = self._by_id.get(key_id)
        if known is None or not hmac.compare_digest(known.digest, digest(secret)):
            return None
        return self._valid(known)

    def by_token(self, token: str) -> Shown | None:
        """Of a session that has neither expired nor been idle too long, and whose user or key is still there."""
        return self._by_session(digest(token))

    def again(self, shown: Shown) -> Shown | None:
        """What the same is worth now."""
        self._look()
        if shown.session is not None:
            return self._by_session(shown.session)
        return self._valid(self._by_id.get(shown.principal.name))

    def now_us(self) -> int:
        return self._clock.now_us()

    def _by_session(self, hashed: bytes) -> Shown | None:
        self._look()
        row = self._sessions.get(hashed)
        if row is None or not self._lives(row):  # another process may have seen it since
            row = self._sessions[hashed] = self.store.session(hashed)
        if row is None or not self._lives(row):
            self._sessions.pop(hashed, None)
            return None
        grants = self._grants(row.kind, row.name)
        if grants is None and self._look(now=True):
            grants = self._grants(row.kind, row.name)
        if grants is None:
            return None
        return Shown(Principal(row.kind, row.name, grants.pairs, row.id), hashed)

    def _lives(self, row: SessionRow) -> bool:
        return self._clock.now_us() < min(row.expires_us, row.seen_us + self._access.session_idle_s * 1_000_000)

    def signing(self) -> Mapping[str, str]:
        """Secrets of the keys that sign requests of the Kinesis API, by id."""
        return _Signing(self._signs)

    def _signs(self, key_id: str | None) -> dict[str, str]:
        """`key_id`: it may have been made a moment ago."""
        self._look(now=key_id is not None and key_id not in self._by_id)
        now_us = self._clock.now_us()
        return {name: each.secret for name, each in self._by_id.items() if each.secret and each.is_valid(now_us)}

    def key(self, key_id: str) -> Principal | None:
        """One whose signature has been checked."""
        shown = self._valid(self._by_id.get(key_id))
        return None if shown is None else shown.principal

    def due(self, shown: Shown) -> bool:
        """Whether it should be written down now that this is in use, with `store.seen`. Says so once a minute."""
        mark: bytes | str = shown.session or shown.principal.name
        now_s = self._clock.monotonic_s()
        if now_s - self._seen.get(mark, float("-inf")) < SEEN_S:
            return False
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[mark] = now_s
        return True

    def _valid(self, known: Known | None) -> Shown | None:
        return Shown(known.principal) if known is not None and known.is_valid(self._clock.now_us()) else None

    def _grants(self, kind: str, name: str) -> Grants | None:
        if kind == USER:
            user = self._users.get(name.lower())
            return None if user is None else user.grants
        shown = self._valid(self._by_id.get(name))
        return None if shown is None else shown.principal.grants

    def _look(self, *, now: bool = False) -> bool:
        """Read the file again if it has changed; it is asked twice a second, or `now`. Whether it had."""
        now_s = self._clock.monotonic_s()
        if not now and now_s - self._looked_s < LOOK_S:
            return False
        changes = self.store.changes()
        has_changed = changes != self._changes
        if has_changed:
            self._users = {user.name.lower(): user for user in self.store.users()}
            kept = [*map(_kept, self.store.keys()), *self._configured]
            self._closed = bool(self._users) or bool(kept)
            known = [*self._local, *kept]
            self._by_id = {each.principal.name: each for each in known}
            self._by_digest = {each.digest: each for each in known}
            self._sessions.clear()
            self._changes = changes
        self._looked_s = now_s
        return has_changed


class _Signing(Mapping[str, str]):
    """Looked up anew each time."""

    def __init__(self, secrets: Callable[[str | None], dict[str, str]]) -> None:
        self._secrets = secrets

    def __getitem__(self, key_id: str) -> str:
        return self._secrets(key_id)[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets(None))

    def __len__(self) -> int:
        return len(self._secrets(None))


def _is_reachable(settings: Settings) -> bool:
    tls = settings.tls
    return not is_loopback(settings.listen_host) or (tls is not None and not is_loopback(tls.listen_host))


def _configured(key: AccessKey) -> Known:
    grants = parse_grants(key.scopes, key.streams)
    return Known(Principal(KEY, key.id, grants.pairs), digest(key.secret), key.secret)


def _local(secret: str) -> Known:
    return Known(Principal(KEY, "local", ALL.pairs), digest(secret), "")


def _kept(key: KeyRow) -> Known:
    return Known(Principal(KEY, key.id, key.grants.pairs), key.digest, key.secret, key.expires_us)
