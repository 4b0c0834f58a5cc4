"""What a name may mean: a field of a record while a view is bound, a key column while a query's filter is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Protocol

from tailrace.model.fields import DEFAULT_FIELDS, EXTRA, Field, FieldKind, Fields
from tailrace.views.expression import INTEGER, RAW_MAX, TEXT, TIMESTAMP, Column, ExtraText, Type, decimal
from tailrace.views.plan import KeyColumn


class Scope(Protocol):
    """`has_extra`: whether `extra['key']` can be read here."""

    has_extra: bool

    def column(self, name: str) -> Column | None: ...

    def unknown(self, name: str) -> tuple[str, str]:
        """Message and hint for a name that is not here."""
        ...


class RecordScope:
    """The typed fields and `extra`."""

    has_extra = True

    def __init__(self, fields: Fields, aliases: frozenset[str] = frozenset()) -> None:
        """`aliases`: lower-case names of a view's columns, only to explain why they cannot be used."""
        self._fields = fields
        self._aliases = aliases

    def field(self, name: str) -> Field | None:
        exact = self._fields.get(name)
        return exact or next((f for f in self._fields.all if f.name.lower() == name.lower()), None)

    def column(self, name: str) -> Column | None:
        field = self.field(name)
        return None if field is None else Column(field.name, field_type(field))

    def unknown(self, name: str) -> tuple[str, str]:
        near = nearest(name, self._fields.names)
        if name.lower() == EXTRA:
            return "`extra` as a whole cannot be used", "read one value of it as text: extra['key']"
        if name.lower() in self._aliases:
            return f"there is no field `{name}`", f"`{name}` is a column of the result: repeat its expression here"
        meant = f"did you mean `{near}`? " if near else f"the fields are {', '.join(self._fields.names)}; "
        return f"there is no field `{name}`", f"{meant}a field that is not configured is read as extra['{name}']"


class KeyScope:
    """The key columns of a view."""

    has_extra = False

    def __init__(self, view_name: str, keys: tuple[KeyColumn, ...]) -> None:
        self._view_name = view_name
        self._keys = keys

    def column(self, name: str) -> Column | None:
        key = next((k for k in self._keys if k.name == name), None)
        key = key or next((k for k in self._keys if k.name.lower() == name.lower()), None)
        return None if key is None else Column(key.name, key.expression.type)

    def unknown(self, name: str) -> tuple[str, str]:
        keys = ", ".join(f"`{k.name}`" for k in self._keys)
        has = f"its keys are {keys}" if keys else "it has no keys"
        return (
            f"view `{self._view_name}` cannot be filtered by `{name}`: {has}",
            "times go into from= and to=; any other filter needs the records: POST /v1/query with SQL over logs",
        )


def readings(read: Iterable[Column | ExtraText], fields: Fields) -> list[list[str]]:
    """What the settings say about the inputs of a view beyond their types, sorted: the key and the zone of a field where they are its
    own, and which members of `extra` are fields, since records have them in `extra` only from before or after that."""
    found: set[tuple[str, ...]] = set()
    for each in read:
        if isinstance(each, Column):
            field = fields.get(each.name)
            if field is not None and (field.source or field.zone != "UTC"):
                found.add(("field", field.name, field.key, field.zone))
        else:
            found |= {("member", each.path[0], f.name) for f in fields.all if _may_move(each.path[0], f)}
    return [list(each) for each in sorted(found)]


def _may_move(key: str, field: Field) -> bool:
    """Whether the settings alone make `key` be in the field instead of in `extra`."""
    return (key == field.key and field.key != field.name) or (key == field.name and DEFAULT_FIELDS.get(key) is None)


def field_type(field: Field) -> Type:
    match field.kind:
        case FieldKind.TIMESTAMP:
            return TIMESTAMP
        case FieldKind.TEXT:
            return TEXT
        case FieldKind.INTEGER:
            return INTEGER
        case FieldKind.DECIMAL:
            return decimal(field.scale, RAW_MAX)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The most similar of `names`, if one is similar at all."""
    by_lower = {n.lower(): n for n in names}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
