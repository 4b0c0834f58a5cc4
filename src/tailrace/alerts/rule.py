"""What a rule is: a value, read from a TOML table or a JSON object of the same shape, checked whole before it is used.

kind = "threshold"                      threshold | change | no_data | drift | ledger | dead_letters
view = "endpoint_health"                or stream = "slow", or sql = "SELECT ..."
value = "100 * server_errors / requests"      above = 5       (or below, at_least, at_most)
where = "endpoint <> '/healthz'"        by = ["endpoint"]     when = "requests >= 50"
over = "1m"  step = "10s"  for = "30s"  keep_firing_for = "1m"
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tailrace.alerts.expression import Formula, parse_formula
from tailrace.alerts.state import Timing
from tailrace.alerts.template import check_template
from tailrace.errors import Invalid
from tailrace.model.window import duration_us

KINDS = ("threshold", "change", "no_data", "drift", "ledger", "dead_letters")
OF_THE_SYSTEM = ("drift", "ledger", "dead_letters")
"""Kinds that look at Tailrace itself; they need no source."""
COMPARISONS = {"above": ">", "below": "<", "at_least": ">=", "at_most": "<="}
MISSING = ("clear", "zero", "hold")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
SECOND_US = 1_000_000
TEXT_MAX, SQL_MAX = 1_000, 20_000
INSTANCES_MAX = 10_000
ALWAYS = ("rule", "alertname", "title", "value", "baseline", "threshold", "unit", "over", "since", "status")
"""Places of templates beside keys and labels."""
_TEXTS = ("kind", "title", "view", "stream", "sql", "value", "unit", "where", "when", "lines", "missing", "change")
_TIMES = ("over", "step", "for", "keep_firing_for", "delay", "against", "offset", "lookback")
KEYS = frozenset(
    (
        *_TEXTS, *_TIMES, *COMPARISONS, "by", "baseline_min", "labels", "annotations", "channels", "instances_max", "enabled"
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """`given`: as written, JSON-ready. Times in microseconds; `step_us` 0: the window of the view, ten seconds elsewhere.

    `by` None: all keys of the view. `delay_us`: how long after its end a window is judged. `lookback_us`: a key that has not been seen
    for so long is forgotten. `against_us`, `offset_us`: length of the period compared with, and how long before the window it ends.
    """

    name: str
    given: Mapping[str, Any] = field(hash=False)
    kind: str = "threshold"
    title: str = ""
    view: str = ""
    stream: str = ""
    sql: str = ""
    value: Formula | None = None
    aggregate: str = ""
    unit: str = ""
    where: str = ""
    when: Formula | None = None
    lines: str = ""
    missing: str = "clear"
    comparison: str = "above"
    threshold: float = 0.0
    percent: bool = True
    by: tuple[str, ...] | None = None
    over_us: int = 60 * SECOND_US
    step_us: int = 0
    delay_us: int = 10 * SECOND_US
    timing: Timing = field(default_factory=Timing)
    against_us: int = 600 * SECOND_US
    offset_us: int = 0
    lookback_us: int = 3_600 * SECOND_US
    baseline_min: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    channels: tuple[str, ...] | None = None
    instances_max: int = 200
    enabled: bool = True

    @property
    def symbol(self) -> str:
        return COMPARISONS[self.comparison]

    @property
    def version(self) -> str:
        """Of what decides its states; texts and channels are not part of it."""
        words = {k: v for k, v in self.given.items() if k not in ("title", "labels", "annotations", "channels", "unit")}
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def source(self) -> str:
        """For people."""
        if self.kind in OF_THE_SYSTEM:
            return self.kind
        return f"view {self.view}" if self.view else f"stream {self.stream}" if self.stream else "SQL"

    @property
    def value_text(self) -> str:
        if self.kind in OF_THE_SYSTEM:
            return {"drift": "drift rows", "ledger": "ledger differences"}.get(self.kind, "share of dead letters")
        return self.aggregate or (self.value.text if self.value else "records")

    def before_us(self) -> int:
        """How much earlier than a window data begins that its judgement needs."""
        if self.kind == "change":
            return self.against_us + self.offset_us + self.over_us
        return self.lookback_us if self.kind == "no_data" or self.missing == "zero" else 0


def read_rule(name: str, given: Mapping[str, Any]) -> Rule:
    """Raises Invalid, naming the key and what is allowed."""
    if not NAME.fullmatch(name):
        raise Invalid(f"`{name[:80]}` is no name of a rule", hint="lower case letters, digits, _ and -, a letter first")
    for key in given:
        if key not in KEYS:
            raise Invalid(f"rule `{name}` has `{key}`, which no rule has", hint=f"there are: {', '.join(sorted(KEYS))}")
    try:
        rule = _read(name, given)
        _check_together(rule, given)
    except Invalid as error:
        raise Invalid(f"rule `{name}`: {error.message}", hint=error.hint) from error
    return rule


def _read(name: str, given: Mapping[str, Any]) -> Rule:
    texts = {key: _text(given, key, SQL_MAX if key == "sql" else TEXT_MAX) for key in _TEXTS}
    kind = _among(given, "kind", KINDS, "threshold")
    missing = _among(given, "missing", MISSING, "zero" if kind == "dead_letters" else "clear")
    comparison, threshold = _comparison(given, kind)
    stream = bool(texts["stream"])
    rule = Rule(
        name,
        dict(given),
        kind=kind,
        title=texts["title"] or name.replace("-", " ").replace("_", " "),
        view=texts["view"],
        stream=texts["stream"],
        sql=texts["sql"],
        value=parse_formula(texts["value"]) if texts["value"] and not stream else None,
        aggregate=texts["value"] or "count(*)" if stream else "",
        unit=texts["unit"],
        where=texts["where"],
        when=parse_formula(texts["when"], condition=True) if texts["when"] else None,
        lines=texts["lines"],
        missing=missing,
        comparison=comparison,
        threshold=threshold,
        percent=_among(given, "change", ("percent", "absolute"), "percent") == "percent",
        by=_by(given),
        timing=Timing(_time(given, "for", 0), _time(given, "keep_firing_for", 0)),
        baseline_min=_number(given, "baseline_min", 0.0),
        labels=_labels(given, "labels"),
        annotations=_labels(given, "annotations"),
        channels=_names(given, "channels"),
        instances_max=int(_number(given, "instances_max", 200)),
        enabled=_truth(given, "enabled"),
    )
    return replace(
        rule,
        over_us=_time(given, "over", rule.over_us),
        step_us=_time(given, "step", rule.step_us),
        delay_us=_time(given, "delay", rule.delay_us),
        against_us=_time(given, "against", rule.against_us),
        offset_us=_time(given, "offset", rule.offset_us),
        lookback_us=_time(given, "lookback", rule.lookback_us),
    )


def _check_together(rule: Rule, given: Mapping[str, Any]) -> None:
    sources = [key for key in ("view", "stream", "sql") if given.get(key)]
    if rule.kind in OF_THE_SYSTEM:
        if sources:
            raise Invalid(f"`{sources[0]}` says nothing for kind {rule.kind}", hint="leave it out")
    elif len(sources) != 1:
        raise Invalid("a rule reads one of view, stream and sql", hint='for example view = "endpoint_health"')
    elif rule.kind != "no_data" and not given.get("value") and not rule.stream:
        raise Invalid("`value` is missing", hint='for example value = "100 * server_errors / requests"')
    if not 1 <= rule.instances_max <= INSTANCES_MAX:
        raise Invalid(f"`instances_max` cannot be `{rule.instances_max}`", hint=f"allowed: 1 to {INSTANCES_MAX:,}")
    if rule.step_us and (rule.step_us % SECOND_US or 86_400 * SECOND_US % rule.step_us):
        raise Invalid("`step` must be whole seconds that divide a day", hint="for example 10s, 1m or 5m")
    if rule.over_us <= 0 or (rule.step_us and rule.over_us % rule.step_us):
        raise Invalid("`over` must be a multiple of `step`", hint='for example over = "5m", step = "1m"')
    if rule.kind == "change" and (rule.against_us < 2 * rule.over_us or rule.against_us % rule.over_us):
        raise Invalid("`against` must be a multiple of `over`, twice it at least", hint='for example against = "10m"')
    known = (*ALWAYS, *rule.labels, *(rule.by or ()))
    if rule.by is not None:
        for text in (*rule.labels.values(), *rule.annotations.values()):
            check_template(text, known)


def _comparison(given: Mapping[str, Any], kind: str) -> tuple[str, float]:
    found = [key for key in COMPARISONS if key in given]
    if not found and kind in ("drift", "ledger"):
        return "above", 0.0
    if kind == "no_data":
        if found:
            raise Invalid(f"`{found[0]}` says nothing for kind no_data", hint="leave it out")
        return "at_most", 0.0
    if len(found) != 1:
        raise Invalid("a rule has one threshold", hint=f"write one of {', '.join(COMPARISONS)}, for example above = 5")
    return found[0], _number(given, found[0], 0.0)


def _text(given: Mapping[str, Any], key: str, most: int) -> str:
    value = given.get(key, "")
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise Invalid(f"`{key}` must be text of at most {most:,} characters")
    return value.strip()


def _among(given: Mapping[str, Any], key: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(key, default)
    if value not in allowed:
        raise Invalid(f"`{key}` cannot be `{str(value)[:80]}`", hint=f"allowed: {', '.join(allowed)}")
    return str(value)


def _number(given: Mapping[str, Any], key: str, default: float) -> float:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise Invalid(f"`{key}` must be a number", hint=f"for example {key} = 5")
    return float(value)


def _truth(given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key, True)
    if not isinstance(value, bool):
        raise Invalid(f"`{key}` is neither true nor false")
    return value


def _time(given: Mapping[str, Any], key: str, default: int) -> int:
    value = given.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise Invalid(f"`{key}` must be a duration", hint=f'for example {key} = "1m"')
    us = duration_us(value) if value != "0" else 0
    if us > 31 * 86_400 * SECOND_US:
        raise Invalid(f"`{key}` of `{value}` is too long", hint="at most 31d")
    return us


def _by(given: Mapping[str, Any]) -> tuple[str, ...] | None:
    return _names(given, "by")


def _names(given: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = given.get(key)
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) > 16
        or not all(isinstance(v, str) and 0 < len(v) <= 63 for v in value)
    ):
        raise Invalid(f"`{key}` must be a list of names", hint=f'for example {key} = ["endpoint"]')
    return tuple(value)


def _labels(given: Mapping[str, Any], key: str) -> dict[str, str]:
    value = given.get(key, {})
    if not isinstance(value, dict) or len(value) > 32:
        raise Invalid(
            f"`{key}` must be a table of at most 32 texts", hint=f'for example {key} = {{ severity = "page" }}'
        )
    for name, text in value.items():
        if not isinstance(name, str) or not LABEL.fullmatch(name) or not isinstance(text, str) or len(text) > TEXT_MAX:
            raise Invalid(
                f"`{key}` holds `{str(name)[:40]}`, which is no name with a text", hint="letters, digits and _"
            )
    return dict(value)
