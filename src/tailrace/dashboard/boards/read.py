"""From the JSON of a dashboard to its value and back. What cannot be used is told with its place and what to write instead."""

from __future__ import annotations

import difflib
import hashlib
import re
from typing import Any

import msgspec

from tailrace.dashboard.boards.model import ORDER, Absolute, Dashboard, Data, Relative, SqlData, Time, ViewData
from tailrace.dashboard.boards.rules import problems
from tailrace.dashboard.boards.schema import at_path, dashboard_schema
from tailrace.errors import Invalid, TooLarge
from tailrace.runtime.unreadable import UNREADABLE

BYTES_MAX = 1 << 20
"""Of one file."""
REVISION_DIGITS = 16
_PLACE = re.compile(r" - at `\$([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_PATTERN = re.compile(r"Expected `str` matching regex .*", re.DOTALL)
_WORDS = {
    "object": "an object",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
}


def read_dashboard(content: bytes | str) -> Dashboard:
    """Raises Invalid, or TooLarge."""
    if len(content) > BYTES_MAX:
        raise TooLarge(f"a dashboard has at most {BYTES_MAX:,} bytes", hint="divide it into several")
    try:
        value = msgspec.json.decode(content)
    except UNREADABLE as error:
        hint = "check quotes, commas and brackets near that byte"
        raise Invalid(f"it is not JSON: {str(error).lower()}", hint=hint) from error
    return dashboard_of(value)


def dashboard_of(value: Any) -> Dashboard:
    """From JSON-ready values. Raises Invalid."""
    try:
        found = msgspec.convert(value, Dashboard, dec_hook=_either)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from error
    for path, problem in problems(found):
        raise Invalid(f"`{path}`: {problem.message}", hint=problem.hint)
    return found


def whole(dashboard: Dashboard) -> dict[str, Any]:
    """JSON-ready values with every member, in the order of a file."""
    found: dict[str, Any] = msgspec.to_builtins(dashboard)
    return {name: found[name] for name in ORDER}


def written(dashboard: Dashboard) -> bytes:
    """The bytes of its file: always the same for the same dashboard, one member a line, so that differences are read easily."""
    return msgspec.json.format(msgspec.json.encode(whole(dashboard)), indent=2) + b"\n"


def revision_of(content: bytes) -> str:
    """Names the content of a file, whoever has written it."""
    return hashlib.sha256(content).hexdigest()[:REVISION_DIGITS]


def _either(kind: type, value: Any) -> Any:
    """Time and data have two forms each."""
    if not isinstance(value, dict):
        raise ValueError("Expected `object`")
    if kind is Data:
        chosen: type[msgspec.Struct] = SqlData if "sql" in value else ViewData
    elif kind is Time:
        chosen = Relative if "over" in value or not value.keys() & {"from", "to"} else Absolute
    else:
        raise NotImplementedError(kind)
    try:
        return msgspec.convert(value, chosen)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error  # as ValueError, it is given the outer path too


def _explained(text: str) -> Invalid:
    """msgspec's message with its place in front, and a hint out of the schema. Inner places come first in it."""
    path = "".join(reversed(_PLACE.findall(text))).lstrip(".")
    message = _PLACE.sub("", text)
    schema = _one_form(at_path(dashboard_schema(), path))
    unknown = _UNKNOWN.search(message)
    if unknown:
        known = sorted(schema.get("properties", {}))
        close = difflib.get_close_matches(unknown[1], known, 1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        full = f"{path}.{unknown[1]}" if path else unknown[1]
        return Invalid(f"`{full}`: there is no such member", hint=f"{meant}there are: {', '.join(known)}")
    message = _PATTERN.sub("it is not written as it must be", message)
    for word, plain in _WORDS.items():
        message = message.replace(f"`{word}`", plain)
    place = f"`{path}`: " if path else "the dashboard: "
    return Invalid(place + message[:1].lower() + message[1:], hint=_allowed(schema))


def _one_form(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a place that has several forms, all members of them."""
    forms = [at_path(dashboard_schema() | each, "") for each in schema.get("anyOf", [])]
    members = {name: each for form in forms for name, each in form.get("properties", {}).items()}
    return {"properties": members, "required": [form["required"] for form in forms]} if members else schema


def _allowed(schema: dict[str, Any]) -> str:
    """What to write at a place of the schema."""
    if "enum" in schema:
        return f"write one of: {', '.join(str(each) for each in schema['enum'])}"
    if "properties" in schema:
        needed = _needed(schema.get("required", []))
        return f"its members are: {', '.join(schema['properties'])}; needed: {needed}"
    said = [str(schema["description"])] if "description" in schema else []
    bounds = {"minimum": "at least", "maximum": "at most", "minLength": "characters: at least"}
    bounds |= {"maxLength": "characters: at most", "maxItems": "entries: at most"}
    said += [f"{text} {schema[name]:,}" for name, text in bounds.items() if name in schema]
    return ", ".join(said) or "see: tailrace dashboards schema"


def _needed(required: list[Any]) -> str:
    """`required`: names, or for each form a list of them."""
    groups = required if required and isinstance(required[0], list) else [required]
    return " or ".join(", ".join(group) or "none" for group in groups)
