"""Logging in: a name and a password become a session. Made once, in the node, so that attempts are counted in one place."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.access import audit
from tailrace.access.attempts import Attempts
from tailrace.access.directory import Directory
from tailrace.access.model import AuditRow, SessionRow
from tailrace.access.passwords import digest, hash_password, is_outdated, is_password, new_session_token
from tailrace.access.principal import KEY, USER
from tailrace.config.settings import AccessSettings
from tailrace.errors import TooOften, Unauthorized
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id

_AGENT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """`token`: goes into the cookie, and nowhere else."""

    token: str
    session: SessionRow


class Login:
    """`begin` is called from one thread, `verify` from any."""

    def __init__(self, directory: Directory, settings: AccessSettings, clock: Clock) -> None:
        self._directory = directory
        self._store = directory.store
        self._settings = settings
        self._clock = clock
        self._attempts = Attempts(clock)

    def begin(self, name: str, address: str) -> None:
        """Count an attempt. Raises TooOften where there were too many."""
        wait_s = self._attempts.wait_s(name, address)
        if wait_s > 0:
            raise TooOften(
                "there were too many attempts to log in", retry_after_s=int(wait_s) + 1, hint="wait, then try again"
            )
        self._attempts.begin(name, address)

    def forgive(self, name: str, address: str) -> None:
        """The attempt that was begun has succeeded."""
        self._attempts.forgive(name, address)

    def verify(self, name: str, password: str, address: str, agent: str) -> LoggedIn:
        """A new session. Raises Unauthorized, after the same time and with the same words for an unknown name and a wrong password."""
        now_us = self._clock.now_us()
        who = self._who(name, password)
        if who is None:
            actor = self._known_as(name)
            audit.note(
                self._store, AuditRow(at_us=now_us, actor=actor, address=address, action="login", outcome="refused")
            )
            raise Unauthorized("the name or the password is wrong", hint="names are told apart without their case")
        kind, known = who
        token = new_session_token()
        session = SessionRow(
            digest=digest(token),
            id=unique_id(),
            kind=kind,
            name=known,
            created_us=now_us,
            seen_us=now_us,
            expires_us=now_us + self._settings.session_s * 1_000_000,
            address=address,
            agent=agent[:_AGENT_CHARS_MAX],
        )
        self._store.add_session(session, now_us - self._settings.session_idle_s * 1_000_000)
        audit.note(self._store, AuditRow(at_us=now_us, actor=f"{kind}:{known}", address=address, action="login"))
        return LoggedIn(token, session)

    def _known_as(self, name: str) -> str:
        """An unknown name is not written down: people type their password into the wrong field."""
        user = self._store.user(name)
        return f"{USER}:{user.name}" if user else "unknown"

    def is_users(self, name: str, password: str) -> bool:
        """Whether it is the password of that user."""
        user = self._store.user(name)
        return is_password(user.password if user else None, password)

    def _who(self, name: str, password: str) -> tuple[str, str] | None:
        """Kind and name. The id of a key and its secret are as good as a user's name and password."""
        user = self._store.user(name)
        right = is_password(user.password if user else None, password)
        if user is not None:
            if right and is_outdated(user.password):
                self._store.rehash(user.name, user.password, hash_password(password))
            return (USER, user.name) if right else None
        shown = self._directory.by_id_and_secret(name, password)
        return None if shown is None else (KEY, shown.principal.name)
