"""How a score is counted."""

from __future__ import annotations

from tailrace.alerts.score import Anomaly, Fired, score

S = 1_000_000


def anomaly(scenario: str, begin: int, end: int, *endpoints: str) -> Anomaly:
    return Anomaly(scenario, begin * S, end * S, frozenset(endpoints))


def test_an_alert_is_for_what_happens_at_its_endpoint_and_time() -> None:
    wanted = [anomaly("outage", 100, 200, "/a"), anomaly("rush", 1000, 1100), anomaly("late", 2000, 3000)]
    fired = [
        Fired("r", 130 * S, None, "/a"),
        Fired("q", 120 * S, None, None),
        Fired("r", 150 * S, None, "/b"),
        Fired("r", 90 * S, None, "/a"),
        Fired("r", 2100 * S, None, "/a"),
    ]
    found = score(wanted, fired)
    assert [f.delay_us for f in found.found] == [20 * S, None]
    assert {(w.at_us // S, w.endpoint) for w in found.wrong} == {(150, "/b"), (90, "/a"), (2100, "/a")}
    assert (found.precision, found.recall) == (0.4, 0.5)


def test_nothing_wanted_and_nothing_fired_is_perfect() -> None:
    assert (score([], []).precision, score([], []).recall) == (1.0, 1.0)
