"""The notifier with a real store and a real server: nothing lost, nothing told twice, whatever fails between."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tailrace.alerts.alert import Alert
from tailrace.alerts.notify.channels import ChannelsFile
from tailrace.alerts.notify.notifier import LONGEST_WAIT_S, Notifier, wait_us
from tailrace.alerts.rule_files import RuleBook
from tailrace.alerts.store import AlertStore, Silence
from tailrace.runtime.clock import ManualClock
from tests.alerts.receiver import Web, receiving
from tests.alerts.test_plan import NOW_US, alert

CHANNELS = """[notify]
group_wait = "10s"
[[channel]]
name = "hook"
kind = "alertmanager_webhook"
url = "{url}"
"""


class Told:
    """A notifier as after a start of the node, over a folder that stays; `alerts`: what the engine says."""

    def __init__(self, folder: Path, web: Web, clock: ManualClock) -> None:
        (folder / "channels.toml").write_text(CHANNELS.format(url=web.url))
        self.alerts: list[Alert] = []
        self.clock = clock
        self.store = AlertStore(folder / "alerts.db")
        engine: Any = SimpleNamespace(
            is_ready=True, alerts=lambda: self.alerts, folder=SimpleNamespace(book=RuleBook())
        )
        lines: Any = None
        self.notifier = Notifier(engine, ChannelsFile(folder), self.store, lines, clock, lambda: "http://node")

    def go(self, seconds: int) -> None:
        for _ in range(seconds):
            self.notifier.tick()
            self.clock.advance(1)


def statuses(web: Web) -> list[str]:
    return [body["status"] for _, _, body in web.taken]


def test_what_was_told_is_known_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    with receiving() as web:
        first = Told(tmp_path, web, clock)
        first.alerts = [alert()]
        first.go(15)
        second = Told(tmp_path, web, clock)
        second.alerts = [alert()]
        second.go(70)
        assert statuses(web) == ["firing"]
        third = Told(tmp_path, web, clock)
        third.go(70)
        assert statuses(web) == ["firing", "resolved"]
        assert third.store.told() == {}


def test_a_server_that_fails_is_asked_again_ever_more_slowly(tmp_path: Path) -> None:
    with receiving() as web:
        web.status = 500
        told = Told(tmp_path, web, ManualClock(NOW_US))
        told.alerts = [alert()]
        told.go(300)
        tries = len(web.taken)
        assert 4 <= tries <= 9
        assert len({headers["Idempotency-Key"] for _, headers, _ in web.taken}) == 1
        ((_, failing),) = told.notifier.failing.items()
        assert "answered 500" in failing.problem
        assert {d.outcome for d in told.store.deliveries(50)} == {"failed"}
        web.status = 200
        told.go(400)
        assert len(web.taken) == tries + 1
        assert (told.notifier.failing, told.store.deliveries(1)[0].outcome) == ({}, "sent")


def test_an_alert_that_was_over_before_anybody_could_be_told_is_not_told(tmp_path: Path) -> None:
    with receiving() as web:
        told = Told(tmp_path, web, ManualClock(NOW_US))
        told.alerts = [alert()]
        told.go(5)
        told.alerts = []
        told.go(60)
        assert web.taken == []


def test_a_silence_in_the_store_holds_back(tmp_path: Path) -> None:
    with receiving() as web:
        told = Told(tmp_path, web, ManualClock(NOW_US))
        told.store.add_silence(
            Silence(id="s", matchers=(("endpoint", "=", "/a"),), from_us=NOW_US, to_us=NOW_US + 100_000_000), 0
        )
        told.alerts = [alert("/a")]
        told.go(90)
        assert web.taken == []
        told.go(40)
        assert statuses(web) == ["firing"]


def test_waits_grow_within_a_bound() -> None:
    waits = [wait_us(n, "x", 1) / 1e6 for n in range(1, 40)]
    assert waits[0] <= 2
    assert max(waits) <= LONGEST_WAIT_S
    assert wait_us(1, "x", 60) == 60_000_000
    assert len({wait_us(5, str(n), 1) for n in range(20)}) > 10, "not all at one moment"
