"""Which message is due: laws of grouping, repeating, resolving, silencing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.alerts.alert import Alert, alert_of
from tailrace.alerts.notify.channels import Channel, Routing, read_routing
from tailrace.alerts.notify.matchers import matches, parse_matcher
from tailrace.alerts.notify.plan import Message, due, untold
from tailrace.alerts.rule import read_rule
from tailrace.alerts.state import Instance, Status
from tailrace.alerts.store import Told
from tailrace.errors import Invalid

S = 1_000_000
NOW_US = 1_790_000_000 * S
CHANNEL = Channel("ops", "webhook", {"url": "http://x"})
ROUTING = Routing(group_wait_us=10 * S, group_interval_us=60 * S, repeat_interval_us=3600 * S)


def alert(endpoint: str = "/a", fired_us: int = NOW_US, rule: str = "r") -> Alert:
    made = read_rule(rule, {"view": "v", "value": "x", "above": 5, "labels": {"severity": "critical"}})
    instance = Instance(status=Status.FIRING, since_us=fired_us, fired_us=fired_us, at_us=fired_us, value=9.0)
    return alert_of(made, ("endpoint",), (endpoint,), instance, fired_us)


class Receiver:
    """What one channel is sent while time goes on a second at a time; `takes`: whether it does."""

    def __init__(self, routing: Routing = ROUTING) -> None:
        self.routing = routing
        self.told: dict[str, Told] = {}
        self.seen: dict[tuple[str, str], int] = {}
        self.sent: list[Message] = []

    def tick(
        self, now_us: int, firing: list[Alert], silenced: frozenset[str] = frozenset(), takes: bool = True
    ) -> None:
        groups = untold(self.routing, firing, silenced, self.told)
        self.seen = {("ops", g): self.seen.get(("ops", g), now_us) for g in groups}
        for message in due(self.routing, CHANNEL, firing, silenced, self.told, self.seen, now_us):
            if not takes:
                continue
            self.sent.append(message)
            if message.told is None:
                self.told.pop(message.key)
            else:
                self.told[message.key] = message.told


def test_a_group_waits_tells_once_repeats_and_resolves() -> None:
    to = Receiver()
    at = {0: [alert("/a")], 5: [alert("/a"), alert("/b")], 8_000: []}
    firing: list[Alert] = []
    for second in range(9_000):
        firing = at.get(second, firing)
        to.tick(NOW_US + second * S, firing)
    told = [((m.told.sent_us - NOW_US) // S if m.told else None, len(m.firing), len(m.resolved)) for m in to.sent]
    assert told == [(10, 2, 0), (3610, 2, 0), (7210, 2, 0), (None, 0, 2)]
    assert to.told == {}


def test_a_message_that_is_not_taken_stays_due_under_one_key() -> None:
    to = Receiver()
    keys = set()
    for second in range(100):
        to.tick(NOW_US + second * S, [alert()], takes=False)
        for message in due(ROUTING, CHANNEL, [alert()], frozenset(), to.told, to.seen, NOW_US + second * S):
            keys.add(message.dedup_key)
    assert len(keys) == 1
    to.tick(NOW_US + 100 * S, [alert()])
    assert len(to.sent) == 1


def test_a_silence_holds_back_and_still_resolves_what_was_told() -> None:
    to, one = Receiver(), alert()
    held = frozenset({one.episode})
    for second in range(30):
        to.tick(NOW_US + second * S, [one], held)
    assert to.sent == []
    for second in range(30, 50):
        to.tick(NOW_US + second * S, [one])
    for second in range(50, 20_000, 50):
        to.tick(NOW_US + second * S, [one], held)
    to.tick(NOW_US + 20_000 * S, [])
    assert [(len(m.firing), len(m.resolved)) for m in to.sent] == [(1, 0), (0, 1)]


steps = st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.booleans(), st.integers(1, 100)), max_size=40)


@settings(max_examples=30, deadline=None)
@given(steps)
def test_each_time_that_it_fires_is_told_once_at_least_and_over_once(story: list[Any]) -> None:
    """Whatever is taken and whatever is not: once all is taken, what fires was told, and what is over was told to be over."""
    to, now_us = Receiver(), NOW_US
    since: dict[str, int] = {}
    for firing, takes, seconds in story:
        since = {key: since.get(key, now_us) for key in firing}
        to.tick(now_us, [alert(key, at) for key, at in since.items()], takes=takes)
        now_us += seconds * S
    for _ in range(200):
        to.tick(now_us, [alert(key, at) for key, at in since.items()])
        now_us += S
    open_ = {a.episode for m in to.sent for a in m.firing} - {a.episode for m in to.sent for a in m.resolved}
    assert open_ == {alert(key, at).episode for key, at in since.items()}
    resolved = [a.episode for m in to.sent for a in m.resolved]
    assert len(resolved) == len(set(resolved))


def test_groups_are_by_the_labels_asked_for() -> None:
    to = Receiver(Routing(group_by=("alertname", "endpoint"), group_wait_us=0))
    to.tick(NOW_US, [alert("/a"), alert("/b"), alert("/b", rule="q")])
    assert {m.key for m in to.sent} == {
        '{}:{alertname="r",endpoint="/a"}', '{}:{alertname="r",endpoint="/b"}', '{}:{alertname="q",endpoint="/b"}'
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ("a=1", {"a": "1"}, True),
        ('a="1"', {"a": "1"}, True),
        ("a=1", {}, False),
        ("a!=1", {}, True),
        ("a=~/x.*", {"a": "/xyz"}, True),
        ("a=~/x", {"a": "/xyz"}, False),
        ("a!~/x.*", {"a": "/y"}, True),
    ],
)
def test_matchers(text: str, labels: dict[str, str], holds: bool) -> None:
    assert matches([parse_matcher(text)], labels) is holds


@pytest.mark.parametrize("text", ["", "a", "a=~(", "1=2", "a=~(a+)+(b*)*c{2}", "a=" + "x" * 600])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_matcher(text)


def test_maintenance_by_the_clock_of_its_place() -> None:
    table = {"days": ["sun"], "at": "02:30", "for": "2h", "zone": "Europe/Zurich", "match": ["endpoint=/a"]}
    (window,) = read_routing({"maintenance": [table]}).maintenance
    sunday_us = 1_795_914_000 * S  # 2026-11-29 01:00 UTC, 02:00 in Zurich
    on = [window.is_on(sunday_us + minutes * 60 * S) for minutes in (29, 30, 149, 150)]
    assert on == [False, True, True, False]
    assert not window.is_on(sunday_us + 86_400 * S + 3_600 * S)


@pytest.mark.parametrize(
    "document",
    [
        {"channels": []},
        {"channel": [{"name": "a", "kind": "carrier pigeon"}]},
        {"channel": [{"name": "a", "kind": "slack"}]},
        {"channel": [{"name": "a", "kind": "slack", "url": "ftp://x"}]},
        {"channel": [{"name": "a", "kind": "slack", "url": "http://x", "url_env": "X"}]},
        {"channel": [{"name": "a", "kind": "slack", "url": "http://x"}] * 2},
        {"channel": [{"name": "a", "kind": "email", "host": "h", "from": "a@b", "to": "c@d"}]},
        {"maintenance": [{"at": "25:00"}]},
        {"maintenance": [{"at": "02:00", "zone": "Atlantis"}]},
        {"notify": {"group_wait": "soon"}},
        {"external_url": "logs"},
    ],
)
def test_a_wrong_channels_file_says_what_to_write(document: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        read_routing(document)
    assert refused.value.message
