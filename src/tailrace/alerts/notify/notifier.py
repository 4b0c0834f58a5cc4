"""Sends what is due, again until it is taken. A thread of its own, so that a slow server holds up no rule."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from tailrace.alerts.alert import Alert
from tailrace.alerts.engine import Engine
from tailrace.alerts.lines import Lines
from tailrace.alerts.notify.channels import Channel, ChannelsFile, Routing
from tailrace.alerts.notify.forms import Told as ToldForm
from tailrace.alerts.notify.plan import Message, due, is_firing, silenced_by, untold
from tailrace.alerts.notify.senders import send
from tailrace.alerts.store import AlertStore, Delivery, Told
from tailrace.errors import NotFound, TailraceError, Unavailable
from tailrace.runtime.clock import Clock

LOG = logging.getLogger(__name__)
TICK_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0
GIVE_UP_US = 24 * 3_600_000_000
"""After a day of failures a message is dropped; the next change, or the repeat, is a new one."""
PUSH_EVERY_US = 60_000_000
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Failing:
    """A message that was not taken: how often, since when, and when it is tried again."""

    attempts: int
    since_us: int
    next_us: int
    problem: str


def wait_us(attempt: int, salt: str, retry_after_s: int) -> int:
    """Before attempt `attempt` + 1: doubled each time, 50 to 100 % of that, so that messages do not come at one moment."""
    longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempt - 1, 20))
    share = 0.5 + zlib.crc32(f"{salt}/{attempt}".encode()) / (2 << 32)
    return int(max(longest_s * share, min(retry_after_s, LONGEST_WAIT_S)) * 1e6)


class Notifier:
    """`run` and `tick` are called by one thread; all else by any. `base_url`: of the node, unless the settings of channels name one."""

    def __init__(
        self,
        engine: Engine,
        channels: ChannelsFile,
        store: AlertStore,
        lines: Lines,
        clock: Clock,
        base_url: Callable[[], str],
    ) -> None:
        self.failing: dict[tuple[str, str], Failing] = {}
        self._engine = engine
        self._channels = channels
        self._store = store
        self._lines = lines
        self._clock = clock
        self._base_url = base_url
        self._first_seen: dict[tuple[str, str], int] = {}

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            try:
                self.tick(stop)
            except Exception:
                LOG.exception("messages stand still; they are tried again")
                stop.wait(10 * TICK_S)

    def tick(self, stop: threading.Event | None = None) -> None:
        """Send what is due, some at once. Returns once it was tried, or at `stop`: what is on the way is then due again."""
        routing = self._channels.look()
        if not self._engine.is_ready:
            return
        stop = stop or threading.Event()
        todo = self._due(routing)
        while todo and not stop.is_set():
            # Daemons: a server that does not answer must not hold up the end of the node.
            senders = [threading.Thread(target=self._deliver, args=(routing, m), daemon=True) for m in todo[:WORKERS]]
            todo = todo[WORKERS:]
            for each in senders:
                each.start()
            for each in senders:
                while each.is_alive() and not stop.is_set():
                    each.join(0.1)

    def routing(self) -> Routing:
        return self._channels.routing

    def url(self) -> str:
        return self._channels.routing.external_url or self._base_url()

    def held_back(self, alerts: Sequence[Alert]) -> dict[str, list[str]]:
        """Fingerprint -> what holds it back now."""
        now_us, silences = self._clock.now_us(), self._store.silences()
        maintenance = self._channels.routing.maintenance
        return {a.fingerprint: silenced_by(a, silences, maintenance, now_us) for a in alerts}

    def test(self, name: str, alert: Alert) -> None:
        """Send a message that says that it is a test. Raises NotFound, Invalid, or DeliveryFailed."""
        channel = self._channels.look().channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self._channels.routing.channels)) or "none: write channels.toml"
            raise NotFound(f"there is no channel `{name[:80]}`", hint=f"channels: {known}")
        now_us = self._clock.now_us()
        message = Message(name, '{}:{alertname="test"}', {"alertname": "test"}, (alert,), (), None, now_us)
        send(channel, ToldForm(message, self.url(), now_us, {alert.episode: ['{"message": "a line behind it"}']}))

    # -- a tick --------------------------------------------------------------------------------------------------

    def _due(self, routing: Routing) -> list[Message]:
        now_us = self._clock.now_us()
        firing = [a for a in self._engine.alerts() if is_firing(a)]
        silences = self._store.silences()
        silenced = frozenset(a.episode for a in firing if silenced_by(a, silences, routing.maintenance, now_us))
        told: dict[str, dict[str, Told]] = {}
        for (holder, group), each in self._store.told().items():
            if holder in routing.channels:
                told.setdefault(holder, {})[group] = each
            elif not routing.problem:
                self._store.keep_told(holder, group, None, None)
        found: list[Message] = []
        seen: dict[tuple[str, str], int] = {}
        for name, channel in routing.channels.items():
            theirs = [a for a in firing if a.channels is None or name in a.channels]
            known = told.get(name, {})
            paced = pace(routing, channel)
            for group in untold(paced, theirs, silenced, known):
                seen[name, group] = self._first_seen.get((name, group), now_us)
            found += due(paced, channel, theirs, silenced, known, seen, now_us)
        self._first_seen = seen
        self.failing = {key: f for key, f in self.failing.items() if key[0] in routing.channels}
        return [m for m in found if self._may_try(m, now_us)]

    def _may_try(self, message: Message, now_us: int) -> bool:
        failing = self.failing.get((message.channel, message.key))
        return failing is None or now_us >= failing.next_us or now_us < failing.since_us

    def _deliver(self, routing: Routing, message: Message) -> None:
        channel = routing.channels[message.channel]
        now_us = self._clock.now_us()
        place = (message.channel, message.key)
        before = self.failing.get(place)
        attempt = before.attempts + 1 if before else 1
        delivery = Delivery(
            at_us=now_us,
            channel=message.channel,
            group=message.key,
            outcome="sent",
            firing=len(message.firing),
            resolved=len(message.resolved),
            attempt=attempt,
        )
        try:
            if message.firing or channel.send_resolved:
                send(channel, ToldForm(message, self.url(), now_us, self._behind(message)))
        except TailraceError as error:
            self._failed(message, error, delivery, before)
            return
        self._store.keep_told(message.channel, message.key, message.told, delivery)
        self.failing.pop(place, None)

    def _failed(self, message: Message, error: TailraceError, delivery: Delivery, before: Failing | None) -> None:
        since_us = before.since_us if before else delivery.at_us
        retry_after_s = error.retry_after_s if isinstance(error, Unavailable) else 60
        wait = wait_us(delivery.attempt, message.dedup_key, retry_after_s)
        gives_up = delivery.at_us - since_us >= GIVE_UP_US
        if delivery.attempt == 1 or gives_up:
            LOG.warning("channel %s: %s (%s)", message.channel, error.message, error.hint)
        outcome = "given up" if gives_up else "failed"
        told = msgspec.structs.replace(delivery, outcome=outcome, problem=error.message)
        if gives_up:
            self.failing.pop((message.channel, message.key), None)
            self._store.keep_told(message.channel, message.key, message.told, told)
            return
        self.failing[message.channel, message.key] = Failing(
            delivery.attempt, since_us, delivery.at_us + wait, error.message
        )
        self._store.add_delivery(told)

    def _behind(self, message: Message) -> Mapping[str, list[str]]:
        rules = self._engine.folder.book.rules
        return {a.episode: self._lines.of(rules[a.rule], a.key) for a in message.firing[:20] if a.rule in rules}


def pace(routing: Routing, channel: Channel) -> Routing:
    """An Alertmanager groups and waits by itself; it must hear often that an alert still fires."""
    if channel.kind != "alertmanager":
        return routing
    return replace(routing, group_wait_us=0, group_interval_us=0, repeat_interval_us=PUSH_EVERY_US)
