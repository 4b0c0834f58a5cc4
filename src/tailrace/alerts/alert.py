"""An alert as people and other programs see it: a rule's instance with its texts filled in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from tailrace.alerts.frame import Key
from tailrace.alerts.rule import OF_THE_SYSTEM, Rule
from tailrace.alerts.state import FLAPPING, Instance, Status
from tailrace.alerts.template import fill, number_text
from tailrace.model.window import iso

_UNIT_OF_NO_DATA = "s"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`fingerprint`: of rule and key. `episode`: of this time that it fires, empty before; the same after a restart and for any retry.

    `explain`: query, value, threshold and since when, in one line.
    """

    rule: str
    title: str
    fingerprint: str
    episode: str
    status: str
    key: dict[str, str | None]
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | None
    baseline: float | None
    unit: str
    comparison: str
    threshold: float
    since_us: int
    fired_us: int | None
    at_us: int
    flap_score: float
    flapping: bool
    explain: str
    channels: tuple[str, ...] | None = None
    value_text: str = ""
    threshold_text: str = ""
    over_us: int = 0


def fingerprint_of(rule: str, names: Sequence[str], key: Key) -> str:
    text = json.dumps([rule, sorted(zip(names, key, strict=True))], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unit_of(rule: Rule) -> str:
    if rule.kind == "no_data":
        return _UNIT_OF_NO_DATA
    if rule.kind == "change" and rule.percent:
        return "%"
    return rule.unit or ("%" if rule.kind == "dead_letters" else "")


def alert_of(rule: Rule, names: Sequence[str], key: Key, instance: Instance, now_us: int) -> Alert:
    fingerprint = fingerprint_of(rule.name, names, key)
    shown = {name: "null" if value is None else value for name, value in zip(names, key, strict=True)}
    unit = unit_of(rule)
    value = number_text(instance.value, unit)
    threshold = f"{rule.symbol} {number_text(rule.threshold, unit)}"
    since_us = instance.fired_us or instance.since_us
    places = shown | {
        "rule": rule.name,
        "alertname": rule.name,
        "title": rule.title,
        "value": value,
        "baseline": number_text(instance.baseline, rule.unit),
        "threshold": number_text(rule.threshold, unit),
        "unit": unit,
        "over": _length(rule.over_us),
        "since": iso(since_us // 1_000_000 * 1_000_000),
        "status": instance.status.value,
    }
    labels = {name: fill(text, places) for name, text in rule.labels.items()}
    places = labels | places
    return Alert(
        rule=rule.name,
        title=rule.title,
        fingerprint=fingerprint,
        episode=f"{fingerprint}-{instance.fired_us // 1000:x}" if instance.fired_us is not None else "",
        status=instance.status.value,
        key=dict(zip(names, key, strict=True)),
        labels={"alertname": rule.name, **shown, **labels},
        annotations={name: fill(text, places) for name, text in rule.annotations.items()},
        value=instance.value,
        baseline=instance.baseline,
        unit=unit,
        comparison=rule.symbol,
        threshold=rule.threshold,
        since_us=since_us,
        fired_us=instance.fired_us,
        at_us=instance.at_us,
        flap_score=round(instance.flap_score(now_us), 2),
        flapping=instance.flap_score(now_us) >= FLAPPING,
        explain=explain(rule, shown, instance, places),
        channels=rule.channels,
        value_text=value,
        threshold_text=threshold,
        over_us=rule.over_us,
    )


def explain(rule: Rule, key: Mapping[str, str], instance: Instance, places: Mapping[str, str]) -> str:
    """`100 * server_errors / requests of view endpoint_health over 1m (endpoint = /login): 12 % > 5 %, firing since ...`"""
    unit = unit_of(rule)
    what = f"{rule.value_text} of {rule.source}" if rule.kind not in OF_THE_SYSTEM else rule.value_text
    told = ", ".join(f"{name} = {value}" for name, value in key.items())
    condition = f"{places['value']} {rule.symbol} {places['threshold']}"
    if rule.kind == "no_data":
        what, condition = f"no records in {rule.source}", f"nothing for {places['value']}"
    elif rule.kind == "change":
        word = "change" if rule.percent else "difference"
        condition = f"{word} {condition} against {places['baseline']} in the {_length(rule.against_us)} before"
    if instance.status in (Status.OK, Status.RECOVERING):
        condition = f"{number_text(instance.value, unit)}, no longer {rule.symbol} {places['threshold']}"
    keyed = f" ({told})" if told else ""
    return f"{what} over {places['over']}{keyed}: {condition}, {instance.status} since {places['since']}"


def page_url(base: str, alert: Alert) -> str:
    return f"{base.rstrip('/')}/?page=alerts&rule={quote(alert.rule)}&alert={alert.fingerprint}"


def alert_json(alert: Alert, base_url: str, silenced_by: Sequence[str] = ()) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "rule": alert.rule,
        "title": alert.title,
        "fingerprint": alert.fingerprint,
        "status": alert.status,
        "key": alert.key,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "value": alert.value,
        "value_text": alert.value_text,
        "baseline": alert.baseline,
        "unit": alert.unit,
        "comparison": alert.comparison,
        "threshold": alert.threshold,
        "since": iso(alert.since_us),
        "fired_at": None if alert.fired_us is None else iso(alert.fired_us),
        "judged_through": iso(alert.at_us),
        "flap_score": alert.flap_score,
        "flapping": alert.flapping,
        "explain": alert.explain,
        "silenced_by": list(silenced_by),
        "url": page_url(base_url, alert),
    }


def _length(us: int) -> str:
    for size, unit in ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m")):
        if us % size == 0:
            return f"{us // size}{unit}"
    return f"{us // 1_000_000}s"
