"""The `[[endpoint_rules]]` of a settings file."""

from __future__ import annotations

from typing import Any

from tailrace.config.problem import SettingsFile
from tailrace.model.endpoint_rules import BUILTIN, EndpointRule
from tailrace.model.fields import FieldKind, Fields

_KEYS = ("match", "template", "builtin")


def read_endpoint_rules(file: SettingsFile, tables: Any, fields: Fields) -> tuple[EndpointRule, ...]:
    """In the file's order, which is the order in which they are tried."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise file.wrong("endpoint_rules", tables, "tables, each as [[endpoint_rules]]")
    field = fields.get("endpoint")
    if tables and (field is None or field.kind is not FieldKind.TEXT):
        raise file.wrong("endpoint_rules", "rules", "only where the field `endpoint` is text")
    return tuple(_read_rule(file, table) for table in tables)


def _read_rule(file: SettingsFile, table: dict[str, Any]) -> EndpointRule:
    for key in table:
        if key not in _KEYS:
            raise file.unknown(key, _KEYS, "endpoint_rules")
    match table:
        case {"builtin": kinds, **rest} if not rest:
            if not isinstance(kinds, list) or not kinds or any(kind not in BUILTIN for kind in kinds):
                raise file.wrong("endpoint_rules.builtin", kinds, f"a list of: {', '.join(BUILTIN)}")
            return EndpointRule(builtin=tuple(kinds))
        case {"match": str(wanted), "template": str(template)} if wanted and template and "builtin" not in table:
            if "*" in template:
                raise file.wrong("endpoint_rules.template", template, "text without *, such as /users/{id}")
            return EndpointRule(wanted, template)
        case _:
            raise file.wrong(
                "endpoint_rules", table, 'match = "/users/*" and template = "/users/{id}", or builtin = ["numbers"]'
            )
