"""Which alerts a silence or a maintenance window is about: conditions on labels, all of which must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tailrace.errors import Invalid

OPERATORS = ("=~", "!~", "!=", "=")
Matcher = tuple[str, str, str]
_TEXT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
TEXT_MAX, MATCHERS_MAX = 500, 20
_QUANTIFIERS_MAX = 3


def parse_matcher(text: str) -> Matcher:
    """`endpoint=/login`, `severity!=info`, `alertname=~slow-.*`; quotes around the value are left out. Raises Invalid."""
    found = _TEXT.fullmatch(text) if len(text) <= TEXT_MAX else None
    if found is None:
        raise Invalid(
            f"`{text[:80]}` is no matcher", hint="write label=value, label!=value, label=~pattern or label!~pattern"
        )
    name, operator, value = found[1], found[2], found[3]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return check_matcher((name, operator, value))


def check_matcher(matcher: Matcher) -> Matcher:
    """Raises Invalid for an operator there is not and for a pattern that cannot be used."""
    name, operator, value = matcher
    if operator not in OPERATORS or len(name) + len(value) > TEXT_MAX:
        raise Invalid(f"`{name}` cannot be matched by `{operator[:10]}`", hint=f"operators: {', '.join(OPERATORS)}")
    if operator in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise Invalid(
                f"pattern `{value}` cannot be read: {error}", hint="a regular expression for all of the value"
            ) from error
        if len(re.findall(r"[*+{]", value)) > _QUANTIFIERS_MAX:
            raise Invalid(f"pattern `{value}` repeats too often", hint=f"at most {_QUANTIFIERS_MAX} of * + {{}}")
    return matcher


def matches(matchers: Iterable[Sequence[str]], labels: Mapping[str, str]) -> bool:
    return all(_holds(name, operator, value, labels.get(name, "")) for name, operator, value in matchers)


def _holds(name: str, operator: str, value: str, found: str) -> bool:
    match operator:
        case "=":
            return found == value
        case "!=":
            return found != value
        case "=~":
            return re.fullmatch(value, found[:TEXT_MAX]) is not None
    return re.fullmatch(value, found[:TEXT_MAX]) is None


def matcher_text(matcher: Sequence[str]) -> str:
    return f"{matcher[0]}{matcher[1]}{matcher[2]}"
