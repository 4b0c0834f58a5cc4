"""The `[[formats]]` of a settings file. All that can be wrong in one is found here, before a node starts."""

from __future__ import annotations

import re
from typing import Any

from tailrace.config.fields import read_zone
from tailrace.config.problem import SettingsFile
from tailrace.model.fields import Field, FieldKind, Fields
from tailrace.model.line_format import ABSENT, BUILTIN, Group, LineFormat, Multiline
from tailrace.model.pattern import check, group_names
from tailrace.model.sources import sources
from tailrace.model.stamp_format import compiled

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KEYS = ("name", "pattern", "groups", "absent", "multiline")
_GROUP_KEYS = ("field", "unit", "format", "zone")
_PATTERN = "a regular expression as RE2 has them"
_UNITS = {"s": 0, "ms": -3, "us": -6, "ns": -9}


def read_formats(file: SettingsFile, tables: Any, fields: Fields) -> tuple[LineFormat, ...]:
    """In the file's order. Raises Invalid."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise file.wrong("formats", tables, "tables, each as [[formats]]")
    found: dict[str, LineFormat] = {}
    for table in tables:
        each = _read_format(file, table, fields)
        if each.name in found:
            raise file.wrong("formats.name", each.name, "each name once")
        found[each.name] = each
    return tuple(found.values())


def _read_format(file: SettingsFile, table: dict[str, Any], fields: Fields) -> LineFormat:
    for key in table:
        if key not in _KEYS:
            raise file.unknown(key, _KEYS, "formats")
    name = table.get("name")
    if name is None:
        raise file.missing("formats.name", "a name of lower case letters, digits, _ and -")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in BUILTIN:
        allowed = f"lower case letters, digits, _ and -, but none of: {', '.join(BUILTIN)}"
        raise file.wrong("formats.name", name, allowed)
    pattern = table.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        raise file.missing(f"formats.pattern of `{name}`", "a regular expression with named groups, in single quotes")
    names = _checked(file, f"formats.pattern of `{name}`", pattern, group_names)
    groups = _groups(file, name, names, table.get("groups", {}), fields)
    return LineFormat(name, pattern, groups, _absent(file, table), _multiline(file, name, table.get("multiline")))


def _checked(file: SettingsFile, key: str, value: str, check_it: Any, allowed: str = _PATTERN) -> Any:
    try:
        return check_it(value)
    except ValueError as error:
        raise file.wrong(key, value, f"{allowed}; here: {error}") from error


def _groups(
    file: SettingsFile, format_name: str, names: tuple[str, ...], tables: Any, fields: Fields
) -> tuple[Group, ...]:
    """One for each named group: as its table says, else it feeds the field that reads a key of this name, else none."""
    key = f"formats.groups of `{format_name}`"
    if not isinstance(tables, dict):
        raise file.wrong(key, tables, 'a table: { group = "field" }')
    if not names:
        raise file.wrong(
            f"formats.pattern of `{format_name}`", "a pattern without groups", "named groups: (?P<name>...)"
        )
    for name in tables:
        if name not in names:
            raise file.none_such(key, name, "the pattern's groups", names)
    feeds = {each: source.field for source in reversed(sources(fields)) for each in reversed(source.keys)}
    groups = tuple(
        _group(file, f"{key}: {name}", name, tables.get(name, {}), feeds.get(name, ""), fields) for name in names
    )
    if not any(group.field == "timestamp" for group in groups):
        allowed = 'a group that is the timestamp, such as (?P<timestamp>...) or groups = { when = "timestamp" }'
        raise file.missing(f"formats.pattern of `{format_name}`: the group for `timestamp`", allowed)
    return groups


def _group(file: SettingsFile, key: str, name: str, table: Any, feeds: str, fields: Fields) -> Group:
    if isinstance(table, str):
        table = {"field": table}
    if not isinstance(table, dict):
        raise file.wrong(key, table, 'the name of a field, or a table: { field = "response_ms", unit = "s" }')
    for each in table:
        if each not in _GROUP_KEYS:
            raise file.unknown(each, _GROUP_KEYS, key)
    target = table.get("field", feeds)
    field = fields.get(target) if isinstance(target, str) else None
    if field is None and target != "":
        raise file.none_such(f"{key}.field", target, "the fields", fields.names)
    zone = read_zone(file, f"{key}.zone", table["zone"]) if "zone" in table else ""
    stamp = table.get("format", "")
    if (stamp or zone) and (field is None or field.kind is not FieldKind.TIMESTAMP):
        raise file.wrong(f"{key}.format", stamp or zone, "only for a group whose field is a timestamp")
    if stamp:
        _checked(file, f"{key}.format", str(stamp), compiled, "the letters of strptime")
    shift = _shift(file, f"{key}.unit", table["unit"], field) if "unit" in table else 0
    return Group(name, target, shift, str(stamp), zone)


def _shift(file: SettingsFile, key: str, unit: Any, field: Field | None) -> int:
    """Powers of ten from the unit as written to the field's."""
    if unit not in _UNITS:
        raise file.wrong(key, unit, ", ".join(_UNITS))
    if field is None or field.unit not in _UNITS:
        raise file.wrong(key, unit, f"only for a group whose field has one of the units {', '.join(_UNITS)}")
    return _UNITS[unit] - _UNITS[field.unit]


def _absent(file: SettingsFile, table: dict[str, Any]) -> tuple[str, ...]:
    value = table.get("absent", list(ABSENT))
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise file.wrong("formats.absent", value, 'texts that mean no value, such as ["-"]')
    return tuple(value)


def _multiline(file: SettingsFile, format_name: str, value: Any) -> Multiline | None:
    key = f"formats.multiline of `{format_name}`"
    match value:
        case None:
            return None
        case {"start": str(start), **rest} if start and not rest:
            _checked(file, f"{key}: start", start, check)
            return Multiline(start=start)
        case {"indented": True, **rest} if not rest:
            return Multiline(indented=True)
        case _:
            raise file.wrong(key, value, "{ start = 'REGEX' } or { indented = true }")
