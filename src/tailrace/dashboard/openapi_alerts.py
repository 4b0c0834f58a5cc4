"""The part of the OpenAPI document about alerts."""

from __future__ import annotations

from typing import Any

from tailrace.dashboard.openapi_parts import as_json, body_of, operation, parameter
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
_NAME = parameter("name", "path", "name of the rule")


def alert_paths() -> dict[str, Any]:
    """Rules, their alerts, silences, channels."""
    limit = {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 200}
    asked_for_history = [
        parameter("from", "query", "ISO 8601, now or now-1h"),
        parameter("to", "query", "the same"),
        parameter("rule", "query", "only of this rule"),
        parameter("limit", "query", "changes at most", limit),
    ]
    windows = listed(record(name=TEXT, matchers=listed(TEXT), active=TRUTH))
    removed = record(name=TEXT, removed=TRUTH)
    return {
        "/v1/alerts": {
            "get": operation(
                "Alerts that are not ok, what is wrong with rules, and the channels", answer=as_json(_ALERTS)
            )
        },
        "/v1/alerts/rules": {
            "get": operation("List the rules, shipped ones too", answer=as_json(record(rules=listed(_RULE))))
        },
        "/v1/alerts/rules/{name}": {
            "get": operation("One rule", [_NAME], as_json(_RULE), ("404",)),
            "put": operation(
                "Write a rule; it is judged within a second",
                [_NAME],
                as_json(_RULE),
                ("404", "409", "413"),
                body=body_of(_RULE_GIVEN, required=True),
            ),
            "delete": operation("Delete a rule's file", [_NAME], as_json(removed), ("404", "409")),
        },
        "/v1/alerts/preview": {
            "post": operation(
                "What a rule would have done over the past, 7 days by default",
                answer=as_json(_PREVIEW),
                errors=("404", "408", "413"),
                body=body_of(_PREVIEW_ASKED, required=True),
            )
        },
        "/v1/alerts/history": {
            "get": operation(
                "What changed its status, newest first, and the newest messages",
                asked_for_history,
                as_json(record(history=listed(_CHANGE), deliveries=listed(_DELIVERY))),
            )
        },
        "/v1/alerts/channels/{name}/test": {
            "post": operation(
                "Send a test message; answers once it was taken",
                [parameter("name", "path", "name of the channel")],
                as_json(record(channel=TEXT, sent=TRUTH)),
                ("404",),
            )
        },
        "/v1/alerts/silences": {
            "get": operation(
                "List silences and maintenance windows",
                answer=as_json(record(silences=listed(_SILENCE), maintenance=windows)),
            ),
            "post": operation(
                "Hold back messages for a while",
                answer=as_json(_SILENCE),
                errors=("409", "413"),
                status="201",
                body=body_of(_SILENCE_ASKED, required=True),
            ),
        },
        "/v1/alerts/silences/{id}": {
            "delete": operation(
                "Let messages through again",
                [parameter("id", "path", "as listed")],
                as_json(record(id=TEXT, removed=TRUTH)),
                ("404",),
            )
        },
        "/v1/alerts/instances/{fingerprint}/lines": {
            "get": operation(
                "The newest records behind an alert, as JSON texts",
                [parameter("fingerprint", "path", "as listed")],
                as_json(record(lines=listed(TEXT))),
            )
        },
    }
