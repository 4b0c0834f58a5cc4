"""A message in the form that each kind of channel takes. Pure; what they mean is in the vendors' API references.

Source: Alertmanager's webhook (version 4) and API v2, Slack's incoming webhooks, PagerDuty's Events API v2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from tailrace.alerts.alert import Alert, page_url
from tailrace.alerts.notify.plan import Message
from tailrace.alerts.template import fill
from tailrace.model.window import iso

ALERTS_SHOWN = 20
PUSH_LASTS_US = 300_000_000
"""A pushed alert is over for Alertmanager if it is not pushed again so soon; it is, every minute."""
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Told:
    """`lines`: episode -> the newest matching records. `base_url`: of the node, for links."""

    message: Message
    base_url: str
    now_us: int
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return "firing" if self.message.firing else "resolved"

    @property
    def alerts(self) -> list[tuple[Alert, str]]:
        firing = [(a, "firing") for a in self.message.firing]
        return firing + [(a, "resolved") for a in self.message.resolved]

    @property
    def title(self) -> str:
        firing, resolved = len(self.message.firing), len(self.message.resolved)
        count = f"FIRING:{firing}" if firing else f"RESOLVED:{resolved}"
        titles = list(dict.fromkeys(a.title for a, _ in self.alerts))
        return f"[{count}] {', '.join(titles[:3])}"

    @property
    def url(self) -> str:
        return page_url(self.base_url, self.alerts[0][0])


def text_of(told: Told) -> str:
    """For people, plain."""
    parts = [told.title]
    for alert, status in told.alerts[:ALERTS_SHOWN]:
        parts.append("")
        parts.append(f"{status.upper()}: {alert.annotations.get('summary') or alert.title}")
        parts.append(
            f"  {alert.explain if status == 'firing' else 'over since ' + iso(told.now_us // 1_000_000 * 1_000_000)}"
        )
        parts += [f"  > {line}" for line in told.lines.get(alert.episode, ())]
        parts.append(f"  {page_url(told.base_url, alert)}")
    if len(told.alerts) > ALERTS_SHOWN:
        parts += ["", f"and {len(told.alerts) - ALERTS_SHOWN} more"]
    return "\n".join(parts)


def alertmanager_webhook(told: Told) -> dict[str, Any]:
    labels = [alert.labels for alert, _ in told.alerts]
    annotations = [_annotations(told, alert) for alert, _ in told.alerts]
    return {
        "version": "4",
        "groupKey": told.message.key,
        "truncatedAlerts": 0,
        "status": told.status,
        "receiver": told.message.channel,
        "groupLabels": dict(told.message.group),
        "commonLabels": _common(labels),
        "commonAnnotations": _common(annotations),
        "externalURL": told.base_url,
        "alerts": [
            {
                "status": status,
                "labels": alert.labels,
                "annotations": _annotations(told, alert),
                "startsAt": iso(alert.fired_us or alert.since_us),
                "endsAt": iso(told.now_us) if status == "resolved" else _NEVER,
                "generatorURL": page_url(told.base_url, alert),
                "fingerprint": alert.fingerprint,
            }
            for alert, status in told.alerts
        ],
    }


def alertmanager_push(told: Told) -> list[dict[str, Any]]:
    return [
        {
            "labels": alert.labels,
            "annotations": _annotations(told, alert),
            "startsAt": iso(alert.fired_us or alert.since_us),
            "endsAt": iso(told.now_us + (PUSH_LASTS_US if status == "firing" else 0)),
            "generatorURL": page_url(told.base_url, alert),
        }
        for alert, status in told.alerts
    ]


def webhook(told: Told, template: str) -> str:
    """JSON of its own, or the template with its places filled: inside JSON texts, so what is filled in is escaped for these."""
    plain = {
        "status": told.status,
        "title": told.title,
        "text": text_of(told),
        "url": told.url,
        "channel": told.message.channel,
        "dedup_key": told.message.dedup_key,
        "explain": told.alerts[0][0].explain,
        "severity": told.alerts[0][0].labels.get("severity", ""),
    }
    if template:
        return fill(template, {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in plain.items()})
    alerts = [
        {
            "status": status,
            "rule": alert.rule,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "explain": alert.explain,
            "value": alert.value,
            "threshold": alert.threshold,
            "since": iso(alert.fired_us or alert.since_us),
            "lines": list(told.lines.get(alert.episode, ())),
            "url": page_url(told.base_url, alert),
            "episode": alert.episode,
        }
        for alert, status in told.alerts
    ]
    return json.dumps({**plain, "alerts": alerts}, ensure_ascii=False)


def slack(told: Told) -> dict[str, Any]:
    """`text` is what notifications show; the blocks are the message."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": told.title[:150]}}]
    for alert, status in told.alerts[:ALERTS_SHOWN]:
        head = alert.annotations.get("summary") or alert.title
        body = [f"*{_slack(status.upper())}* <{page_url(told.base_url, alert)}|{_slack(head)}>", _slack(alert.explain)]
        if lines := told.lines.get(alert.episode):
            body.append("```" + _slack("\n".join(lines).replace("```", "'''"))[:2_000] + "```")
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(body)[:2_990]}})
    return {"text": _slack(told.title), "blocks": blocks}


def pagerduty(told: Told, routing_key: str, severity: str) -> list[dict[str, Any]]:
    """An event an alert; its incident is opened once and closed by the same key, however often it is told."""
    events: list[dict[str, Any]] = []
    for alert, status in told.alerts:
        event: dict[str, Any] = {
            "routing_key": routing_key,
            "event_action": "trigger" if status == "firing" else "resolve",
            "dedup_key": alert.episode,
        }
        if status == "firing":
            asked = alert.labels.get("severity", severity)
            event["payload"] = {
                "summary": f"{alert.annotations.get('summary') or alert.title}: {alert.explain}"[:1024],
                "source": alert.key.get("service") or alert.key.get("endpoint") or "tailrace",
                "severity": asked if asked in ("critical", "error", "warning", "info") else severity,
                "timestamp": iso(alert.fired_us or alert.since_us),
                "custom_details": {"labels": alert.labels, "lines": list(told.lines.get(alert.episode, ()))},
            }
            event["links"] = [{"href": page_url(told.base_url, alert), "text": "Tailrace"}]
        events.append(event)
    return events


def email(told: Told, sender: str, to: Sequence[str]) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = " ".join(told.title.split())
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    domain = sender.rpartition("@")[2].strip("<> ") or "tailrace"
    mail["Message-ID"] = f"<{_word(told.message.dedup_key)}@{domain}>"
    mail["References"] = f"<{_word(told.message.key)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text_of(told))
    return mail


def _annotations(told: Told, alert: Alert) -> dict[str, str]:
    found = {"summary": alert.title, **alert.annotations, "explain": alert.explain}
    if lines := told.lines.get(alert.episode):
        found["lines"] = "\n".join(lines)
    return found


def _common(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {k: v for k, v in tables[0].items() if all(t.get(k) == v for t in tables)} if tables else {}


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _word(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else f"_{ord(c):x}" for c in text)
