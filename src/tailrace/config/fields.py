"""The `[[fields]]` of a settings file: new typed fields, or a default one changed, put together with the defaults."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from tailrace.config.problem import SettingsFile
from tailrace.model.fields import DEFAULT_FIELDS, EXTRA, VERDICT, Field, FieldKind, Fields

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEYS = ("name", "type", "source", "scale", "unit", "zone")
_TYPES = tuple(kind.value for kind in FieldKind)
_RESERVED = {EXTRA, VERDICT, "raw", "reason", "window_start"}
SCALE_MAX = 9


def read_fields(file: SettingsFile, tables: Any) -> Fields:
    """The defaults, each changed by the table of its name, then the new fields in the file's order."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise file.wrong("fields", tables, "tables, each as [[fields]]")
    found: dict[str, Field] = {}
    for table in tables:
        field = _read_field(file, table)
        if field.name in found:
            raise file.wrong("fields.name", field.name, "each name once")
        found[field.name] = field
    changed = [found.pop(field.name, field) for field in DEFAULT_FIELDS.all]
    return Fields((*changed, *found.values()))


def _read_field(file: SettingsFile, table: dict[str, Any]) -> Field:
    for key in table:
        if key not in _KEYS:
            raise file.unknown(key, _KEYS, "fields")
    name = table.get("name")
    if name is None:
        raise file.missing("fields.name", "a name of lower case letters, digits and _")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED:
        raise file.wrong(
            "fields.name", name, f"lower case letters, digits and _, but none of: {', '.join(sorted(_RESERVED))}"
        )
    default = DEFAULT_FIELDS.get(name)
    kind = _kind(file, name, table.get("type", default.kind.value if default else None))
    return Field(
        name,
        kind,
        source=_text(file, table, "source", default.source if default else ""),
        scale=_scale(file, table, kind, default.scale if default and default.kind == kind else 3),
        unit=_text(file, table, "unit", default.unit if default else ""),
        zone=read_zone(file, "fields.zone", table.get("zone", "UTC")),
    )


def _kind(file: SettingsFile, name: str, value: Any) -> FieldKind:
    if value is None:
        raise file.missing(f"fields.type of `{name}`", ", ".join(_TYPES))
    if name == "timestamp" and value != FieldKind.TIMESTAMP.value:
        raise file.wrong("fields.type of `timestamp`", value, FieldKind.TIMESTAMP.value)
    if value not in _TYPES:
        raise file.wrong(f"fields.type of `{name}`", value, ", ".join(_TYPES))
    return FieldKind(value)


def _text(file: SettingsFile, table: dict[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise file.wrong(f"fields.{key}", value, "text")
    return value


def _scale(file: SettingsFile, table: dict[str, Any], kind: FieldKind, default: int) -> int:
    """Decimal digits kept; only decimals have any."""
    if kind is not FieldKind.DECIMAL:
        if "scale" in table:
            raise file.wrong("fields.scale", table["scale"], "only with type = decimal")
        return 0
    value = table.get("scale", default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SCALE_MAX:
        raise file.wrong("fields.scale", value, f"a whole number from 0 to {SCALE_MAX}")
    return value


def read_zone(file: SettingsFile, key: str, value: Any) -> str:
    """The name of a time zone that there is."""
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise file.wrong(key, value, "an IANA time zone such as Europe/Zurich") from error
    return str(value)
