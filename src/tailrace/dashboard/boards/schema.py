"""The JSON Schema (2020-12) of a dashboard, made from the model."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from tailrace.dashboard.boards.model import ORDER, Absolute, Dashboard, Data, Relative, SqlData, Time, ViewData

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
_EITHER: dict[type, tuple[type[msgspec.Struct], ...]] = {Time: (Relative, Absolute), Data: (ViewData, SqlData)}
_STEP = re.compile(r"[^.\[\]]+|\[[0-9]+\]|\[\.\.\.\]")
Schema = dict[str, Any]


def schema_of(kind: type[msgspec.Struct]) -> Schema:
    """Of one that names no others."""
    found: Schema = _ecma(msgspec.json.schema_components([kind])[1][kind.__name__])
    return found


def schemas(ref: str = _REF) -> dict[str, Schema]:
    """The schema of each part by name; `ref`: how they name each other."""
    kinds = [Dashboard, *(form for forms in _EITHER.values() for form in forms)]

    def either(kind: type) -> Schema:
        return {"anyOf": [{"$ref": ref.format(name=form.__name__)} for form in _EITHER[kind]]}

    _, found = msgspec.json.schema_components(kinds, schema_hook=either, ref_template=ref)
    parts: dict[str, Schema] = _ecma(found)
    members = parts["Dashboard"]["properties"]
    parts["Dashboard"]["properties"] = {name: members[name] for name in ORDER}
    return parts


@cache
def dashboard_schema() -> Schema:
    """One document that stands by itself."""
    return {
        "$schema": DIALECT,
        "title": "Tailrace dashboard",
        "$ref": _REF.format(name=Dashboard.__name__),
        "$defs": schemas(),
    }


def at_path(document: Schema, path: str) -> Schema:
    """The part of the schema that `panels[2].data.view` is held against; of two forms, the first that has such a member. Empty: none."""
    schema = _resolved(document, document)
    for step in _STEP.findall(path):
        schema = _resolved(document, _step(document, schema, step))
    return schema


def _step(document: Schema, schema: Schema, step: str) -> Schema:
    for form in schema.get("anyOf", [schema]):
        known = _resolved(document, form)
        if step.startswith("["):
            found = known.get("items")
        else:
            found = known.get("properties", {}).get(step)
        if found is not None:
            return dict(found)
        if "anyOf" in known and (inner := _step(document, known, step)):
            return inner
    return {}


def _resolved(document: Schema, schema: Schema) -> Schema:
    """Behind `$ref`, and of something that may be null, what it else is."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return _resolved(document, document["$defs"][name])
    forms = [form for form in schema.get("anyOf", []) if form.get("type") != "null"]
    if len(forms) == 1 and len(schema["anyOf"]) > 1:
        return _resolved(document, forms[0])
    return schema


def _ecma(value: Any) -> Any:
    r"""Patterns of JSON Schema are those of JavaScript, where `$` is the very end and `\Z` is not known."""
    if isinstance(value, dict):
        return {
            key: each.replace(r"\Z", "$") if key == "pattern" and isinstance(each, str) else _ecma(each)
            for key, each in value.items()
        }
    return [_ecma(each) for each in value] if isinstance(value, list) else value
