"""What happened at a moment or for a while, told by people and their tools: charts mark it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tailrace.dashboard.boards.database import Database
from tailrace.dashboard.boards.model import Instant, Short, Word
from tailrace.errors import Invalid, NotFound
from tailrace.model.window import instant_us

KEPT_MAX = 10_000
"""The one that was told first goes first."""
ANSWER_MAX = 1_000
TAGS_MAX = 20
TEXT_MAX = 2_000
DEFAULT_KIND = "deploy"


class AnnotationAsked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`at`, `until`: ISO 8601, or now, or now-5m; `at` is now by default."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
    at: Instant = "now"
    until: Instant | None = None
    kind: Word = DEFAULT_KIND
    tags: Annotated[list[Short], Meta(max_length=TAGS_MAX)] = []


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """`until_us`: the same as `at_us` for a moment."""

    id: str
    at_us: int
    until_us: int
    kind: str
    text: str
    tags: list[str]
    created_us: int


def annotation_of(asked: AnnotationAsked, now_us: int, new_id: str) -> Annotation:
    """Raises Invalid."""
    at_us = instant_us(asked.at, now_us)
    until_us = at_us if asked.until is None else instant_us(asked.until, now_us)
    if until_us < at_us:
        raise Invalid(f"`until` is before `at`: `{asked.until}`", hint="leave `until` out for a moment")
    return Annotation(
        id=new_id,
        at_us=at_us,
        until_us=until_us,
        kind=asked.kind,
        text=asked.text,
        tags=asked.tags,
        created_us=now_us,
    )


class Annotations:
    """Safe in any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, one: Annotation) -> None:
        """Durable on return; of too many, the one that was told first goes."""
        row = (one.id, one.at_us, one.until_us, one.kind, one.text, msgspec.json.encode(one.tags).decode())
        with self._database.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, one.created_us))
            connection.execute(
                "DELETE FROM annotations WHERE id IN"
                " (SELECT id FROM annotations ORDER BY created_us DESC, rowid DESC LIMIT -1 OFFSET ?)",
                (KEPT_MAX,),
            )
            connection.execute("COMMIT")

    def between(self, from_us: int | None, to_us: int | None, limit: int = ANSWER_MAX) -> tuple[list[Annotation], bool]:
        """Those that touch [from, to), by time; of more than `limit`, the newest, and True."""
        condition, values = "1", []
        for text, value in (("until_us >= ?", from_us), ("at_us < ?", to_us)):
            if value is not None:
                condition += f" AND {text}"
                values.append(value)
        with self._database.connection() as connection:
            rows = connection.execute(
                "SELECT id, at_us, until_us, kind, text, tags, created_us FROM annotations"
                f" WHERE {condition} ORDER BY at_us DESC, rowid DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
        found = [
            Annotation(
                id=row[0],
                at_us=row[1],
                until_us=row[2],
                kind=row[3],
                text=row[4],
                tags=msgspec.json.decode(row[5], type=list[str]),
                created_us=row[6],
            )
            for row in rows[:limit]
        ]
        return found[::-1], len(rows) > limit

    def remove(self, annotation_id: str) -> None:
        """Raises NotFound."""
        with self._database.connection() as connection:
            if connection.execute("DELETE FROM annotations WHERE id = ?", (annotation_id,)).rowcount == 0:
                raise NotFound(f"there is no annotation `{annotation_id}`", hint="see /v1/annotations")
