"""From the columns of an application to the fields of our records.

A column is the field of its name, or of a name that the field is also read from; `--map` and the application's own input schema say
otherwise. Every other column is a member of `extra`, by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tailrace.errors import Invalid
from tailrace.model.fields import FieldKind, Fields
from tailrace.model.sources import ALIASES
from tailrace.views.kinesis_analytics.statements import Name

_NUMBERS = re.compile(r"TINYINT|SMALLINT|INTEGER|INT|BIGINT|REAL|FLOAT|DOUBLE|DECIMAL|NUMERIC", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """`field`: of the record; empty: the member `path` of `extra`. `number`: None if nobody said."""

    field: str
    path: tuple[str, ...] = ()
    number: bool | None = None

    @property
    def sql(self) -> str:
        if self.field:
            return self.field
        return "extra" + "".join(f"['{part.replace(chr(39), chr(39) * 2)}']" for part in self.path)


@dataclass(frozen=True, slots=True)
class Mapping:
    """`given`: column key -> where it is, from `--map` and the schema."""

    fields: Fields
    given: dict[str, Target] = field(default_factory=dict)

    def target(self, column: Name) -> Target:
        given = self.given.get(column.key) or self.given.get(column.key.upper())
        if given is not None:
            return given
        return by_name(column.shown, self.fields) or Target("", (_member(column),))


def by_name(name: str, fields: Fields) -> Target | None:
    """The field that is read from a key of this name, whatever its case."""
    lower = name.lower()
    for each in fields.all:
        names = {each.name, each.key, *(ALIASES.get(each.name, ()) if not each.source else ())}
        if lower in {one.lower() for one in names}:
            return Target(each.name, number=each.kind in (FieldKind.INTEGER, FieldKind.DECIMAL))
    return None


def _member(column: Name) -> str:
    """A quoted name is meant as it stands; others are mostly in lower case where they are written."""
    return column.shown if column.quoted else column.shown.lower()


def parse_maps(texts: list[str], fields: Fields) -> dict[str, Target]:
    """`COLUMN=FIELD` or `COLUMN=extra.member`. Raises Invalid."""
    found: dict[str, Target] = {}
    for text in texts:
        column, sign, target = text.partition("=")
        if not sign or not column.strip() or not target.strip():
            raise Invalid(f"`{text}` is no mapping", hint="write --map PRICE=response_ms or --map PRICE=extra.price")
        found[column.strip()] = found[column.strip().upper()] = _given(target.strip(), fields)
    return found


def _given(text: str, fields: Fields) -> Target:
    if text.startswith("extra."):
        return Target("", tuple(text.removeprefix("extra.").split(".")))
    known = fields.get(text)
    if known is None:
        raise Invalid(f"there is no field `{text}`", hint=f"fields: {', '.join(fields.names)}; or extra.{text}")
    return Target(text, number=known.kind in (FieldKind.INTEGER, FieldKind.DECIMAL))


def read_schema(text: str, fields: Fields) -> dict[str, Target]:
    """Column -> target of an application's input schema: the JSON of `describe-application`, or its InputSchema alone.

    Raises Invalid.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the schema is no JSON: {error}", hint="give what describe-application printed") from error
    found: dict[str, Target] = {}
    for column in _columns(value, 0):
        name, mapping = str(column["Name"]), str(column.get("Mapping") or "")
        number = bool(_NUMBERS.match(str(column.get("SqlType", ""))))
        path = tuple(part for part in re.split(r"[.\[\]'\"]+", mapping.removeprefix("$")) if part)
        target = by_name(path[0], fields) if len(path) == 1 else by_name(name, fields) if not path else None
        found[name] = target or Target("", path or (name,), number)
    if not found:
        raise Invalid("the schema names no columns", hint="it has a list `RecordColumns` of Name, Mapping and SqlType")
    return found


def _columns(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > 50:
        return
    if isinstance(value, dict):
        listed = value.get("RecordColumns")
        if isinstance(listed, list):
            yield from (each for each in listed if isinstance(each, dict) and "Name" in each)
        for each in value.values():
            yield from _columns(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _columns(each, depth + 1)
