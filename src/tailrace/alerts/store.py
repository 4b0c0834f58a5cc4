"""What alerts remember: how far each rule was judged, its instances, what has happened, silences, and what was told to whom.

One SQLite file, written by the node. The windows of a rule, the states after them and their history are one transaction, so a node
that is killed goes on exactly where it was: no window is judged twice, and none is left out. Bodies have a checksum.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tailrace.alerts.frame import Key
from tailrace.alerts.state import Change, Instance
from tailrace.errors import Conflict, NotFound
from tailrace.runtime.connections import Connections, open_synced
from tailrace.runtime.files import make_folder
from tailrace.runtime.storage_errors import translated
from tailrace.states.manifest import sealed, unsealed

HISTORY_MAX, DELIVERIES_MAX, SILENCES_MAX = 100_000, 2_000, 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS instances (rule TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (rule, key));
CREATE TABLE IF NOT EXISTS history (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, rule TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS history_by_time ON history (at_us);
CREATE TABLE IF NOT EXISTS silences (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS told (channel TEXT NOT NULL, grouped TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (channel, grouped));
CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
"""


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """`judged_us`: end of the last window that was judged. `names`: of the key columns. `left_out`: instances beyond the limit."""

    version: str
    judged_us: int
    names: tuple[str, ...] = ()
    left_out: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one instance. `reason`: where the rule, not a window, was why."""

    rule: str
    key: dict[str, str | None]
    change: Change
    title: str = ""
    value_text: str = ""
    reason: str = ""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """`matchers`: label, operator (= != =~ !~), value; all must match."""

    id: str
    matchers: tuple[tuple[str, str, str], ...]
    from_us: int
    to_us: int
    comment: str = ""
    created_by: str = ""
    created_us: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel knows of a group: the episodes that it was told fire, each with what the resolved message needs."""

    sent_us: int
    alerts: dict[str, bytes]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome`: sent, failed (it is tried again) or given up."""

    at_us: int
    channel: str
    group: str
    outcome: str
    firing: int
    resolved: int
    attempt: int = 1
    problem: str = ""


@dataclass(slots=True)
class Held:
    """A rule's memory."""

    state: RuleState
    instances: dict[Key, Instance] = field(default_factory=dict)


class AlertStore:
    """Safe in any thread. The file is made by the first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = Connections(lambda: _open(path))
        weakref.finalize(self, self._connections.release)

    def load(self) -> dict[str, Held]:
        with self._connection() as connection:
            rules = connection.execute("SELECT name, body FROM rules").fetchall()
            rows = connection.execute("SELECT rule, key, body FROM instances").fetchall()
        found = {name: Held(unsealed(body, RuleState, self._path)) for name, body in rules}
        for rule, key, body in rows:
            if rule in found:
                found[rule].instances[tuple(json.loads(key))] = unsealed(body, Instance, self._path)
        return found

    def save(self, saved: Mapping[str, Held], entries: Iterable[Entry], gone: Sequence[str] = ()) -> None:
        """All of it or nothing; durable on return. `gone`: rules to forget."""
        with self._transaction() as connection:
            for name in gone:
                connection.execute("DELETE FROM rules WHERE name = ?", (name,))
                connection.execute("DELETE FROM instances WHERE rule = ?", (name,))
            for name, held in saved.items():
                connection.execute("INSERT OR REPLACE INTO rules VALUES (?, ?)", (name, sealed(held.state)))
                connection.execute("DELETE FROM instances WHERE rule = ?", (name,))
                rows = [(name, json.dumps(key), sealed(each)) for key, each in held.instances.items()]
                connection.executemany("INSERT INTO instances VALUES (?, ?, ?)", rows)
            told = [(entry.change.at_us, entry.rule, sealed(entry)) for entry in entries]
            connection.executemany("INSERT INTO history (at_us, rule, body) VALUES (?, ?, ?)", told)
            if told:
                _trim(connection, "history", HISTORY_MAX)

    def history(self, from_us: int, to_us: int, rule: str | None, limit: int) -> list[Entry]:
        """Newest first."""
        condition = " AND rule = ?" if rule else ""
        values = (from_us, to_us, *([rule] if rule else []), limit)
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT body FROM history WHERE at_us >= ? AND at_us < ?{condition} ORDER BY at_us DESC, id DESC LIMIT ?",
                values,
            ).fetchall()
        return [unsealed(body, Entry, self._path) for (body,) in rows]

    def silences(self) -> list[Silence]:
        with self._connection() as connection:
            rows = connection.execute("SELECT body FROM silences").fetchall()
        return sorted((unsealed(body, Silence, self._path) for (body,) in rows), key=lambda s: (-s.created_us, s.id))

    def add_silence(self, silence: Silence, over_before_us: int) -> None:
        """Those that were over before `over_before_us` go, so that the list does not grow for ever."""
        for each in self.silences():
            if each.to_us < over_before_us:
                self.remove_silence(each.id)
        with self._transaction() as connection:
            count = connection.execute("SELECT count(*) FROM silences").fetchone()[0]
            if count >= SILENCES_MAX:
                raise Conflict(f"there are `{count:,}` silences", hint="remove some: tailrace alerts silence list")
            connection.execute("INSERT INTO silences VALUES (?, ?)", (silence.id, sealed(silence)))

    def remove_silence(self, silence_id: str) -> None:
        """Raises NotFound."""
        with self._transaction() as connection:
            if connection.execute("DELETE FROM silences WHERE id = ?", (silence_id,)).rowcount == 0:
                raise NotFound(f"there is no silence `{silence_id[:80]}`", hint="see: tailrace alerts silence list")

    def told(self) -> dict[tuple[str, str], Told]:
        with self._connection() as connection:
            rows = connection.execute("SELECT channel, grouped, body FROM told").fetchall()
        return {(channel, group): unsealed(body, Told, self._path) for channel, group, body in rows}

    def keep_told(self, channel: str, group: str, told: Told | None, delivery: Delivery | None) -> None:
        """What the channel knows from now on (None: nothing fires any more), and how that came."""
        with self._transaction() as connection:
            if told is None:
                connection.execute("DELETE FROM told WHERE channel = ? AND grouped = ?", (channel, group))
            else:
                connection.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (channel, group, sealed(told)))
            if delivery is not None:
                connection.execute("INSERT INTO deliveries (body) VALUES (?)", (sealed(delivery),))
                _trim(connection, "deliveries", DELIVERIES_MAX)

    def add_delivery(self, delivery: Delivery) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO deliveries (body) VALUES (?)", (sealed(delivery),))
            _trim(connection, "deliveries", DELIVERIES_MAX)

    def deliveries(self, limit: int) -> list[Delivery]:
        """Newest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT body FROM deliveries ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [unsealed(body, Delivery, self._path) for (body,) in rows]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), self._connections.one() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")


def _trim(connection: sqlite3.Connection, table: str, most: int) -> None:
    connection.execute(f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - {most}")


def _open(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    connection = open_synced(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
