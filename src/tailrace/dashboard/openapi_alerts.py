"""Alerts in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailrace.dashboard.openapi_schemas import COUNT, INSTANT, NUMBER, TEXT, TRUTH, Schema, listed, maybe, record

_TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
_KEY: Schema = {"type": "object", "additionalProperties": maybe(TEXT)}
_PROBLEM = record(message=TEXT, hint=TEXT)
_STATUS: Schema = {"enum": ["ok", "pending", "firing", "recovering"]}
_ALERT = record(
    rule=TEXT,
    title=TEXT,
    fingerprint={**TEXT, "description": "of rule and key: always the same"},
    status=_STATUS,
    key=_KEY,
    labels=_TEXTS,
    annotations=_TEXTS,
    value=maybe(NUMBER),
    value_text=TEXT,
    baseline=maybe({**NUMBER, "description": "of a change: what the value is compared with"}),
    unit=TEXT,
    comparison=TEXT,
    threshold=NUMBER,
    since=INSTANT,
    fired_at=maybe(INSTANT),
    judged_through=INSTANT,
    flap_score={**NUMBER, "description": "changes of the condition, each counting half after 15 minutes"},
    flapping=TRUTH,
    explain={**TEXT, "description": "query, value, threshold, since when"},
    silenced_by={**listed(TEXT), "description": "silences and maintenance windows that hold messages back now"},
    url=TEXT,
)
_RULE_GIVEN: Schema = {"type": "object", "description": "as in a rule's file; see the docs, alerts"}
_RULE = record(
    name=TEXT,
    title=TEXT,
    kind=TEXT,
    enabled=TRUTH,
    shipped=TRUTH,
    rule=_RULE_GIVEN,
    judged_through=maybe(INSTANT),
    left_out={**COUNT, "description": "alerts beyond instances_max"},
    error=maybe(_PROBLEM),
)
_ALERTS = record(
    now=INSTANT,
    alerts=listed(_ALERT),
    rules=COUNT,
    problems=listed(record(rule=maybe(TEXT), file=maybe(TEXT), message=TEXT, hint=TEXT)),
    channels=listed(record(name=TEXT, kind=TEXT, target=TEXT, problem=maybe(TEXT))),
)
_PREVIEW = record(
    **{"from": INSTANT},
    rule=TEXT,
    to=INSTANT,
    step_ms=COUNT,
    fired={**COUNT, "description": "how often it would have fired, all keys together"},
    keys=COUNT,
    comparison=TEXT,
    threshold=NUMBER,
    unit=TEXT,
    reason=maybe({**TEXT, "description": "why there is nothing to replay"}),
    episodes=listed(record(key=_KEY, fingerprint=TEXT, fired_at=INSTANT, ended_at=maybe(INSTANT), worst=maybe(NUMBER))),
    times_ms={**listed({"type": "integer"}), "description": "ends of windows"},
    series=listed(record(key=_KEY, fingerprint=TEXT, values=listed(maybe(NUMBER)))),
    took_ms=NUMBER,
)
_CHANGE = record(
    **{"from": _STATUS},
    at=INSTANT,
    rule=TEXT,
    title=TEXT,
    key=_KEY,
    to=_STATUS,
    value=maybe(NUMBER),
    value_text=TEXT,
    reason=maybe(TEXT),
)
_DELIVERY = record(
    at=INSTANT,
    channel=TEXT,
    group=TEXT,
    outcome={"enum": ["sent", "failed", "given up"]},
    firing=COUNT,
    resolved=COUNT,
    attempt=COUNT,
    problem=maybe(TEXT),
)
_SILENCE = record(
    **{"from": INSTANT},
    id=TEXT,
    status={"enum": ["pending", "active", "expired"]},
    matchers=listed(TEXT),
    to=INSTANT,
    comment=TEXT,
    created_by=TEXT,
)
_SILENCE_ASKED: Schema = {
    "type": "object",
    "required": ["matchers"],
    "additionalProperties": False,
    "properties": {
        "matchers": {**listed(TEXT), "description": "label=value, !=, =~, !~; all must hold"},
        "from": maybe(TEXT),
        "to": maybe(TEXT),
        "for": maybe({**TEXT, "description": "instead of `to`, e.g. 1h"}),
        "comment": TEXT,
        "created_by": TEXT,
    },
}
_PREVIEW_ASKED: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"name": TEXT, "rule": maybe(_RULE_GIVEN), "from": maybe(TEXT), "to": maybe(TEXT)},
}
_NAME = ("name", "path", "name of the rule")


@dataclass(frozen=True, slots=True)
class Told:
    """An operation, as `openapi._operation` takes it. `parameters`: name, place, text, schema."""

    summary: str
    answer: Schema
    parameters: tuple[tuple[Any, ...], ...] = ()
    errors: tuple[str, ...] = ()
    status: str = "200"
    body: Schema | None = None


def alert_operations() -> dict[str, dict[str, Told]]:
    limit = {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 200}
    return {
        "/v1/alerts": {"get": Told("Alerts that are not ok, what is wrong with rules, and the channels", _ALERTS)},
        "/v1/alerts/rules": {"get": Told("List the rules, shipped ones too", record(rules=listed(_RULE)))},
        "/v1/alerts/rules/{name}": {
            "get": Told("One rule", _RULE, (_NAME,), ("404",)),
            "put": Told(
                "Write a rule; it is judged within a second", _RULE, (_NAME,), ("404", "409", "413"), body=_RULE_GIVEN
            ),
            "delete": Told("Delete a rule's file", record(name=TEXT, removed=TRUTH), (_NAME,), ("404", "409")),
        },
        "/v1/alerts/preview": {
            "post": Told(
                "What a rule would have done over the past, 7 days by default",
                _PREVIEW,
                errors=("404", "408", "413"),
                body=_PREVIEW_ASKED,
            )
        },
        "/v1/alerts/history": {
            "get": Told(
                "What changed its status, newest first, and the newest messages",
                record(history=listed(_CHANGE), deliveries=listed(_DELIVERY)),
                (
                    ("from", "query", "ISO 8601, now or now-1h"),
                    ("to", "query", "the same"),
                    ("rule", "query", "only of this rule"),
                    ("limit", "query", "changes at most", limit),
                ),
            )
        },
        "/v1/alerts/channels/{name}/test": {
            "post": Told(
                "Send a test message; answers once it was taken",
                record(channel=TEXT, sent=TRUTH),
                (("name", "path", "name of the channel"),),
                ("404",),
            )
        },
        "/v1/alerts/silences": {
            "get": Told(
                "List silences and maintenance windows",
                record(
                    silences=listed(_SILENCE),
                    maintenance=listed(record(name=TEXT, matchers=listed(TEXT), active=TRUTH)),
                ),
            ),
            "post": Told(
                "Hold back messages for a while", _SILENCE, errors=("409", "413"), status="201", body=_SILENCE_ASKED
            ),
        },
        "/v1/alerts/silences/{id}": {
            "delete": Told(
                "Let messages through again", record(id=TEXT, removed=TRUTH), (("id", "path", "as listed"),), ("404",)
            )
        },
        "/v1/alerts/instances/{fingerprint}/lines": {
            "get": Told(
                "The newest records behind an alert, as JSON texts",
                record(lines=listed(TEXT)),
                (("fingerprint", "path", "as listed"),),
            )
        },
    }
