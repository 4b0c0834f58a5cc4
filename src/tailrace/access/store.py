"""Users, keys, sessions and the audit, in one SQLite file that all processes of the node share with the commands.

Each change of who may do what raises a counter in its own transaction, so that a reader knows with one look whether what it
remembers still holds.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailrace.access.model import AuditRow, KeyRow, SessionRow, UserRow
from tailrace.config.settings import Settings
from tailrace.errors import Conflict, NotFound
from tailrace.model.scopes import ADMIN, Grants, parse_grants
from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.storage_errors import translated

USERS_MAX, KEYS_MAX, SESSIONS_MAX = 1_000, 1_000, 50
"""SESSIONS_MAX: of one user; the one that was used longest ago goes."""
AUDIT_KEPT = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO changes VALUES (1, 0);
CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY COLLATE NOCASE, password TEXT NOT NULL, scopes TEXT NOT NULL,
  created_us INTEGER NOT NULL, changed_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, secret TEXT NOT NULL, scopes TEXT NOT NULL,
  created_us INTEGER NOT NULL, created_by TEXT NOT NULL, expires_us INTEGER NOT NULL, used_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  digest BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
  created_us INTEGER NOT NULL, seen_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, actor TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL,
  target TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL);
"""
_CHANGED = "UPDATE changes SET count = count + 1"


class AccessStore:
    """Safe in any thread and process. `make` is called once, before others read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = Connections(lambda: _open(path))
        weakref.finalize(self, self._connections.release)

    def make(self) -> None:
        """The file, if there is none."""
        with self._reading():
            return

    # -- reading ---------------------------------------------------------------------------------------------------

    def changes(self) -> int:
        """How often it has changed who may do what."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count FROM changes").fetchone()[0])

    def users(self) -> list[UserRow]:
        with self._reading() as connection:
            return [_user(row) for row in connection.execute("SELECT * FROM users ORDER BY name")]

    def user(self, name: str) -> UserRow | None:
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM users WHERE name = ?", (name,)).fetchone()
        return None if row is None else _user(row)

    def keys(self) -> list[KeyRow]:
        """The newest first."""
        with self._reading() as connection:
            return [_key(row) for row in connection.execute("SELECT * FROM keys ORDER BY created_us DESC, id")]

    def sessions(self) -> list[SessionRow]:
        """The last used first."""
        with self._reading() as connection:
            return [
                SessionRow(**_named(row)) for row in connection.execute("SELECT * FROM sessions ORDER BY seen_us DESC")
            ]

    def session(self, digest: bytes) -> SessionRow | None:
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM sessions WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else SessionRow(**_named(row))

    def audit(self, limit: int) -> list[AuditRow]:
        """The newest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM audit ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [AuditRow(**{name: value for name, value in _named(row).items() if name != "id"}) for row in rows]

    # -- users -----------------------------------------------------------------------------------------------------

    def add_user(self, user: UserRow) -> None:
        """Raises Conflict if the name is taken, or too many are there."""
        with self._changing() as connection:
            if connection.execute("SELECT 1 FROM users WHERE name = ?", (user.name,)).fetchone():
                raise Conflict(
                    f"there is a user `{user.name}` already", hint="give him new scopes or a new password instead"
                )
            if connection.execute("SELECT count(*) FROM users").fetchone()[0] >= USERS_MAX:
                raise Conflict(f"there are `{USERS_MAX}` users, more cannot be", hint="remove one")
            connection.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?)",
                (user.name, user.password, _scopes(user.grants), user.created_us, user.changed_us),
            )

    def set_scopes(self, name: str, grants: Grants, now_us: int) -> None:
        """Raises NotFound, or Conflict where nobody would be left to administer the node."""
        with self._changing() as connection:
            self._check_left(connection, name, grants)
            connection.execute(
                "UPDATE users SET scopes = ?, changed_us = ? WHERE name = ?", (_scopes(grants), now_us, name)
            )

    def set_password(self, name: str, password: str, now_us: int, keep_session: str = "") -> int:
        """Ends all sessions of the user but `keep_session` (an id); how many. Raises NotFound."""
        with self._changing() as connection:
            _one_user(connection, name)
            connection.execute("UPDATE users SET password = ?, changed_us = ? WHERE name = ?", (password, now_us, name))
            return connection.execute(
                "DELETE FROM sessions WHERE kind = 'user' AND name = ? AND id != ?", (name, keep_session)
            ).rowcount

    def rehash(self, name: str, before: str, password: str) -> None:
        """The same password, hashed with the parameters of now; nothing if it was changed meanwhile."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE users SET password = ? WHERE name = ? AND password = ?", (password, name, before)
            )

    def remove_user(self, name: str) -> None:
        """And the user's sessions. Raises NotFound, or Conflict for the last who administers the node."""
        with self._changing() as connection:
            self._check_left(connection, name, None)
            connection.execute("DELETE FROM sessions WHERE kind = 'user' AND name = ?", (name,))
            connection.execute("DELETE FROM users WHERE name = ?", (name,))

    def _check_left(self, connection: sqlite3.Connection, name: str, grants: Grants | None) -> None:
        """`grants`: those that the user shall have; None: the user shall go."""
        user = _one_user(connection, name)
        if not user.grants.whole(ADMIN) or (grants is not None and grants.whole(ADMIN)):
            return
        others = (_user(row) for row in connection.execute("SELECT * FROM users WHERE name != ?", (name,)))
        if not any(other.grants.whole(ADMIN) for other in others):
            raise Conflict(
                f"`{user.name}` is the last user who may administer this node",
                hint="make another one first: tailrace users add NAME --admin",
            )

    # -- keys ------------------------------------------------------------------------------------------------------

    def add_key(self, key: KeyRow) -> None:
        """Raises Conflict if too many are there."""
        with self._changing() as connection:
            if connection.execute("SELECT count(*) FROM keys").fetchone()[0] >= KEYS_MAX:
                raise Conflict(
                    f"there are `{KEYS_MAX}` keys, more cannot be", hint="revoke some: tailrace keys revoke ID"
                )
            values = (key.id, key.name, key.digest, key.secret, _scopes(key.grants), key.created_us)
            rest = (key.created_by, key.expires_us, key.used_us)
            connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, *rest))

    def revoke_key(self, key_id: str) -> KeyRow:
        """And end the sessions that were begun with it. Raises NotFound."""
        with self._changing() as connection:
            row = connection.execute("SELECT * FROM keys WHERE id = ?", (key_id,)).fetchone()
            if row is None:
                raise NotFound(f"there is no key `{key_id}`", hint="see: tailrace keys list")
            connection.execute("DELETE FROM keys WHERE id = ?", (key_id,))
            connection.execute("DELETE FROM sessions WHERE kind = 'key' AND name = ?", (key_id,))
            return _key(row)

    # -- sessions --------------------------------------------------------------------------------------------------

    def add_session(self, session: SessionRow, idle_before_us: int) -> None:
        """Those that have expired, or were not seen since `idle_before_us`, go."""
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE expires_us <= ? OR seen_us <= ?", (session.created_us, idle_before_us)
            )
            connection.execute(
                "INSERT INTO sessions VALUES (:digest, :id, :kind, :name, :created_us, :seen_us, :expires_us, :address, :agent)",
                {name: getattr(session, name) for name in session.__struct_fields__},
            )
            gone = connection.execute(
                "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE kind = ? AND name = ? "
                "ORDER BY seen_us DESC, created_us DESC LIMIT -1 OFFSET ?)",
                (session.kind, session.name, SESSIONS_MAX),
            ).rowcount
            if gone:
                connection.execute(_CHANGED)

    def end_session(self, session_id: str) -> SessionRow:
        """Raises NotFound."""
        with self._changing() as connection:
            row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
            if row is None:
                raise NotFound(f"there is no session `{session_id}`", hint="it may have ended: see GET /v1/sessions")
            connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            return SessionRow(**_named(row))

    def seen(self, session: bytes | None, key_id: str | None, now_us: int) -> None:
        """A session or a key was used. Nobody has to look again for that."""
        with self._writing() as connection:
            if session is not None:
                connection.execute("UPDATE sessions SET seen_us = max(seen_us, ?) WHERE digest = ?", (now_us, session))
            if key_id is not None:
                connection.execute("UPDATE keys SET used_us = max(used_us, ?) WHERE id = ?", (now_us, key_id))

    # -- audit -----------------------------------------------------------------------------------------------------

    def note(self, row: AuditRow) -> None:
        with self._writing() as connection:
            added = connection.execute(
                "INSERT INTO audit (at_us, actor, address, action, target, outcome, detail) "
                "VALUES (:at_us, :actor, :address, :action, :target, :outcome, :detail)",
                {name: getattr(row, name) for name in row.__struct_fields__},
            ).lastrowid
            connection.execute("DELETE FROM audit WHERE id <= ?", ((added or 0) - AUDIT_KEPT,))

    # -- connections -----------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path), self._connections.one() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; what raises in it takes it back."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """As `_writing`, of who may do what."""
        with self._writing() as connection:
            yield connection
            connection.execute(_CHANGED)


def has_access(settings: Settings) -> bool:
    """Whether there is a user or a key, in the settings or in the data folder, which is not made for asking."""
    if settings.keys:
        return True
    if not settings.access_path.exists():
        return False
    store = AccessStore(settings.access_path)
    return bool(store.users() or store.keys())


def _open(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    path.touch(mode=0o600)  # for its owner alone; SQLite gives the files beside it the same rights
    connection = open_synced(path)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _one_user(connection: sqlite3.Connection, name: str) -> UserRow:
    row = connection.execute("SELECT * FROM users WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"there is no user `{name}`", hint="see: tailrace users list")
    return _user(row)


def _named(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row of SQLite iterates over its values


def _user(row: Any) -> UserRow:
    values = _named(row)
    return UserRow(**{**{k: v for k, v in values.items() if k != "scopes"}, "grants": _grants(values["scopes"])})


def _key(row: Any) -> KeyRow:
    values = _named(row)
    return KeyRow(**{**{k: v for k, v in values.items() if k != "scopes"}, "grants": _grants(values["scopes"])})


def _scopes(grants: Grants) -> str:
    return " ".join(grants.texts())


def _grants(text: str) -> Grants:
    return parse_grants(text.split())
