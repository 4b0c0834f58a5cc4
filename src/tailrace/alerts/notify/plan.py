"""Which message is due: alerts in groups, waited for, repeated, resolved. Pure.

A group's first message waits for `group_wait`, so that what breaks together is told together; changes wait for `group_interval`; what
still fires is told again after `repeat_interval`. What a channel was told is compared with what is so, so a message that was not
delivered is due until it is, and one that was is not due again, whatever happened between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tailrace.alerts.alert import Alert
from tailrace.alerts.notify.channels import Channel, Maintenance, Routing
from tailrace.alerts.notify.matchers import matches
from tailrace.alerts.state import Status
from tailrace.alerts.store import Silence, Told

_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Alert)


@dataclass(frozen=True, slots=True)
class Message:
    """`key`: of the group, stable. `told`: what the channel knows once this is delivered; None: nothing fires any more."""

    channel: str
    key: str
    group: Mapping[str, str]
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    told: Told | None
    sequence_us: int = 0

    @property
    def dedup_key(self) -> str:
        """The same for every attempt at this message, and for no other."""
        return f"{self.key}/{self.sequence_us}"


def group_of(routing: Routing, alert: Alert) -> dict[str, str]:
    return {name: alert.labels[name] for name in routing.group_by if name in alert.labels}


def group_key(group: Mapping[str, str]) -> str:
    """As Alertmanager writes it."""
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return "{}:{" + inside + "}"


def silenced_by(
    alert: Alert, silences: Iterable[Silence], maintenance: Iterable[Maintenance], now_us: int
) -> list[str]:
    """Ids of the silences and names of the maintenance windows that hold it back now."""
    found = [s.id for s in silences if s.from_us <= now_us < s.to_us and matches(s.matchers, alert.labels)]
    return found + [m.name for m in maintenance if m.is_on(now_us) and matches(m.matchers, alert.labels)]


def is_firing(alert: Alert) -> bool:
    return alert.status in (Status.FIRING, Status.RECOVERING) and bool(alert.episode)


def due(
    routing: Routing,
    channel: Channel,
    firing: Sequence[Alert],
    silenced: frozenset[str],
    told: Mapping[str, Told],
    first_seen: Mapping[tuple[str, str], int],
    now_us: int,
) -> list[Message]:
    """The messages of one channel. `firing`: all alerts that fire and are for it; `silenced`: episodes of those held back.

    `told`: by group. `first_seen`: (channel, group) -> since when an untold group has something to say.
    """
    groups: dict[str, tuple[dict[str, str], list[Alert]]] = {}
    for alert in firing:
        group = group_of(routing, alert)
        groups.setdefault(group_key(group), (group, []))[1].append(alert)
    found = []
    for key in sorted({*groups, *told}):
        group, alerts = groups.get(key, ({}, []))
        message = _message(channel, key, group, alerts, silenced, told.get(key), now_us)
        if message is not None and _is_due(routing, channel, message, told.get(key), first_seen, now_us):
            found.append(message)
    return found


def untold(routing: Routing, firing: Sequence[Alert], silenced: frozenset[str], told: Mapping[str, Told]) -> set[str]:
    """Groups that have something to say and were never told."""
    keys = {group_key(group_of(routing, a)) for a in firing if a.episode not in silenced}
    return keys - told.keys()


def _message(
    channel: Channel,
    key: str,
    group: Mapping[str, str],
    alerts: Sequence[Alert],
    silenced: frozenset[str],
    told: Told | None,
    now_us: int,
) -> Message | None:
    known = {} if told is None else told.alerts
    active = {alert.episode: alert for alert in alerts}
    shown = tuple(a for a in alerts if a.episode not in silenced)
    resolved = tuple(_DECODER.decode(body) for episode, body in known.items() if episode not in active)
    kept = {e: b for e, b in known.items() if e in active} | {a.episode: _ENCODER.encode(a) for a in shown}
    if not shown and not resolved:
        return None
    group = group or {name: resolved[0].labels[name] for name in _names(key) if name in resolved[0].labels}
    sequence_us = told.sent_us if told else min(a.fired_us or 0 for a in shown)
    after = Told(sent_us=now_us, alerts=kept) if kept else None
    return Message(channel.name, key, group, shown, resolved, after, sequence_us)


def _is_due(
    routing: Routing,
    channel: Channel,
    message: Message,
    told: Told | None,
    first_seen: Mapping[tuple[str, str], int],
    now_us: int,
) -> bool:
    if told is None:
        return now_us >= first_seen.get((channel.name, message.key), now_us) + routing.group_wait_us
    if message.resolved or any(a.episode not in told.alerts for a in message.firing):
        return now_us >= told.sent_us + routing.group_interval_us
    return bool(message.firing) and now_us >= told.sent_us + routing.repeat_interval_us


def _names(key: str) -> list[str]:
    return [part.partition("=")[0] for part in key.removeprefix("{}:{").removesuffix("}").split(",") if part]
