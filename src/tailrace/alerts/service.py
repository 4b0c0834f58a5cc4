"""All that the HTTP surface asks of alerts, as JSON-ready values. See `AlertsDoor` of the dashboard's services."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tailrace.alerts.alert import alert_json, alert_of
from tailrace.alerts.engine import Engine
from tailrace.alerts.lines import Lines
from tailrace.alerts.notify.channels import ChannelsFile
from tailrace.alerts.notify.matchers import check_matcher, matcher_text, parse_matcher
from tailrace.alerts.notify.notifier import Notifier
from tailrace.alerts.preview import preview
from tailrace.alerts.rule import Rule, read_rule
from tailrace.alerts.rule_files import RuleFolder, no_rule
from tailrace.alerts.sources import Sources
from tailrace.alerts.state import Instance, Status
from tailrace.alerts.store import AlertStore, Entry, Silence
from tailrace.errors import Invalid
from tailrace.model.window import iso
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id

SILENCE_KEPT_US = 30 * 86_400_000_000
SILENCE_US_MAX = 366 * 86_400_000_000


class Alerts:
    """Any thread may call."""

    def __init__(
        self,
        folder: RuleFolder,
        sources: Sources,
        store: AlertStore,
        engine: Engine,
        notifier: Notifier,
        lines: Lines,
        clock: Clock,
    ) -> None:
        self.engine = engine
        self.notifier = notifier
        self._folder = folder
        self._sources = sources
        self._store = store
        self._lines = lines
        self._clock = clock

    def alerts(self) -> dict[str, Any]:
        """Those that are not ok, firing ones first, and what is wrong with rules and channels."""
        found = self.engine.alerts()
        held_back = self.notifier.held_back(found)
        url = self.notifier.url()
        rank = {Status.FIRING: 0, Status.RECOVERING: 1, Status.PENDING: 2, Status.OK: 3}
        found.sort(key=lambda a: (rank[Status(a.status)], -a.since_us, a.fingerprint))
        return {
            "now": iso(self._clock.now_us()),
            "alerts": [alert_json(alert, url, held_back[alert.fingerprint]) for alert in found],
            "rules": len(self._folder.book.rules),
            "problems": self._problems(),
            "channels": self._channels(),
        }

    def lines(self, fingerprint: str) -> dict[str, Any]:
        """The newest records behind an alert."""
        alert = next((a for a in self.engine.alerts() if a.fingerprint == fingerprint), None)
        rule = None if alert is None else self._folder.book.rules.get(alert.rule)
        return {"lines": [] if alert is None or rule is None else self._lines.of(rule, alert.key, 20)}

    def rules(self) -> dict[str, Any]:
        return {"rules": [self._rule_row(rule) for _, rule in sorted(self._folder.book.rules.items())]}

    def rule(self, name: str) -> dict[str, Any]:
        rule = self._folder.book.rules.get(name)
        if rule is None:
            raise no_rule(name)
        return self._rule_row(rule)

    def put(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        rule = read_rule(name, given)
        if rule.enabled:
            self._sources.check(rule)
        self._folder.put(name, given)
        self._folder.look()
        return self._rule_row(rule)

    def delete(self, name: str) -> dict[str, Any]:
        self._folder.delete(name)
        self._folder.look()
        return {"name": name, "removed": True}

    def preview(
        self, name: str, given: Mapping[str, Any] | None, from_us: int | None, to_us: int | None
    ) -> dict[str, Any]:
        """Of the rule `given`, or of the one called `name`. Default: the last seven days."""
        rule = self._folder.book.rules.get(name) if given is None else read_rule(name or "preview", given)
        if rule is None:
            raise no_rule(name)
        last_us = self._clock.now_us() if to_us is None else to_us
        first_us = last_us - 7 * 86_400_000_000 if from_us is None else from_us
        began_s = self._clock.monotonic_s()
        found = preview(self._sources, rule, first_us, last_us)
        return {**found, "took_ms": round((self._clock.monotonic_s() - began_s) * 1000, 1)}

    def history(self, from_us: int | None, to_us: int | None, rule: str | None, limit: int) -> dict[str, Any]:
        last_us = (1 << 62) if to_us is None else to_us
        entries = self._store.history(0 if from_us is None else from_us, last_us, rule, limit)
        deliveries = [
            {
                "at": iso(d.at_us),
                "channel": d.channel,
                "group": d.group,
                "outcome": d.outcome,
                "firing": d.firing,
                "resolved": d.resolved,
                "attempt": d.attempt,
                "problem": d.problem or None,
            }
            for d in self._store.deliveries(min(limit, 100))
        ]
        return {"history": [_entry_row(entry) for entry in entries], "deliveries": deliveries}

    def test_channel(self, name: str) -> dict[str, Any]:
        rule = read_rule("test", {"view": "endpoint_health", "value": "requests", "above": 1, "title": "Test message"})
        now_us = self._clock.now_us()
        instance = Instance(
            status=Status.FIRING, since_us=now_us, fired_us=now_us, at_us=now_us, breached=True, value=2.0
        )
        self.notifier.test(name, alert_of(rule, ("endpoint",), ("/test",), instance, now_us))
        return {"channel": name, "sent": True}

    def silences(self) -> dict[str, Any]:
        now_us = self._clock.now_us()
        maintenance = [
            {"name": m.name, "matchers": [matcher_text(x) for x in m.matchers], "active": m.is_on(now_us)}
            for m in self.notifier.routing().maintenance
        ]
        return {"silences": [_silence_row(s, now_us) for s in self._store.silences()], "maintenance": maintenance}

    def add_silence(
        self, matchers: list[str], from_us: int | None, to_us: int, comment: str, created_by: str
    ) -> dict[str, Any]:
        now_us = self._clock.now_us()
        begin_us = now_us if from_us is None else from_us
        if not matchers:
            raise Invalid(
                "a silence needs a matcher", hint='for example alertname=server-errors; "alertname=~.*" is all'
            )
        if to_us <= max(begin_us, now_us) or to_us - begin_us > SILENCE_US_MAX:
            raise Invalid("a silence must end after it begins, later than now and within a year", hint="for=1h")
        silence = Silence(
            id=unique_id(),
            matchers=tuple(check_matcher(parse_matcher(text)) for text in matchers),
            from_us=begin_us,
            to_us=to_us,
            comment=comment[:1000],
            created_by=created_by[:200],
            created_us=now_us,
        )
        self._store.add_silence(silence, now_us - SILENCE_KEPT_US)
        return _silence_row(silence, now_us)

    def remove_silence(self, silence_id: str) -> dict[str, Any]:
        self._store.remove_silence(silence_id)
        return {"id": silence_id, "removed": True}

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rule_row(self, rule: Rule) -> dict[str, Any]:
        state = self.engine.states().get(rule.name)
        problem = self.engine.problems.get(rule.name)
        file_problem = next((p for p in self._folder.book.problems if p.name == rule.name), None)
        error = file_problem or problem
        return {
            "name": rule.name,
            "title": rule.title,
            "kind": rule.kind,
            "enabled": rule.enabled,
            "shipped": rule.name in self._folder.book.shipped,
            "rule": dict(rule.given),
            "judged_through": iso(state.judged_us) if state else None,
            "left_out": state.left_out if state else 0,
            "error": None if error is None else {"message": error.message, "hint": error.hint},
        }

    def _problems(self) -> list[dict[str, Any]]:
        files = [
            {"rule": p.name, "file": p.file, "message": p.message, "hint": p.hint} for p in self._folder.book.problems
        ]
        judged = [
            {"rule": name, "file": None, "message": p.message, "hint": p.hint}
            for name, p in sorted(self.engine.problems.items())
        ]
        routing = self.notifier.routing()
        channels = [{"rule": None, "file": "channels.toml", "message": routing.problem, "hint": routing.hint}]
        return files + judged + (channels if routing.problem else [])

    def _channels(self) -> list[dict[str, Any]]:
        failing = {channel: f.problem for (channel, _), f in self.notifier.failing.items()}
        return [
            {"name": c.name, "kind": c.kind, "target": c.target, "problem": failing.get(c.name)}
            for c in self.notifier.routing().channels.values()
        ]


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "at": iso(entry.change.at_us),
        "rule": entry.rule,
        "title": entry.title,
        "key": entry.key,
        "from": entry.change.before,
        "to": entry.change.after,
        "value": entry.change.value,
        "value_text": entry.value_text,
        "reason": entry.reason or None,
    }


def _silence_row(silence: Silence, now_us: int) -> dict[str, Any]:
    status = "expired" if now_us >= silence.to_us else "active" if now_us >= silence.from_us else "pending"
    return {
        "id": silence.id,
        "status": status,
        "matchers": [matcher_text(each) for each in silence.matchers],
        "from": iso(silence.from_us),
        "to": iso(silence.to_us),
        "comment": silence.comment,
        "created_by": silence.created_by,
    }


def make_alerts(folder: Path, path: Path, sources: Sources, lines: Lines, clock: Clock, base_url: str) -> Alerts:
    """`folder`: of rules and channels. `path`: of the store. `base_url`: of the node."""
    rules, store = RuleFolder(folder), AlertStore(path)
    rules.look()
    engine = Engine(rules, sources, store, clock)
    channels = ChannelsFile(folder)
    channels.look()
    notifier = Notifier(engine, channels, store, lines, clock, lambda: base_url)
    return Alerts(rules, sources, store, engine, notifier, lines, clock)
