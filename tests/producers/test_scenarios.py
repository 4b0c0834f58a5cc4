"""Each scenario looks like its description, and what cannot be is an error that says what can."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailrace.errors import Invalid
from tailrace.producers.profile.read import shipped_profile
from tailrace.producers.scenarios.catalog import SCENARIOS, make_event
from tailrace.producers.scenarios.timeline import Change, Timeline, events_of
from tailrace.producers.traffic import SLOT_US, Times, Traffic

START_US = 1_800_000_000_000_000
SHOP = shipped_profile()
LOGIN, HOME, PROFILE, _ = range(4)
SECONDS = 30


def traffic(scenario: str, rate: float = 2_000, **given: Any) -> Traffic:
    """Alone, over all of the run or its middle third, as the scenario has it."""
    if given:
        event = make_event(scenario, 0, SECONDS, given, SHOP)
        timeline = Timeline((Change(0, rate),), (event,))
    else:
        timeline = Timeline((Change(0, rate),), events_of(scenario, SECONDS, SHOP))
    return Traffic(SHOP, timeline, seed=3, times=Times(START_US, START_US))


def column(model: Traffic, name: str, from_s: float, to_s: float) -> Any:
    return np.concatenate([getattr(model.requests(n), name) for n in range(int(from_s * 10), int(to_s * 10))])


def share(model: Traffic, endpoint: int, status: int, from_s: float, to_s: float) -> float:
    of = column(model, "endpoint", from_s, to_s) == endpoint
    return float((column(model, "status", from_s, to_s)[of] == status).mean())


def median_us(model: Traffic, endpoint: int, from_s: float, to_s: float) -> float:
    of = column(model, "endpoint", from_s, to_s) == endpoint
    return float(np.median(column(model, "response_us", from_s, to_s)[of]))


def rates(model: Traffic) -> list[int]:
    return [sum(model.lines_in(n) for n in range(s * 10, s * 10 + 10)) for s in range(SECONDS)]


def test_steady_is_the_rate_and_nothing_else() -> None:
    model = traffic("steady")
    assert rates(model) == [2_000] * SECONDS
    assert share(model, PROFILE, 503, 0, 10) == 0


def test_rush_swells_to_four_times_the_rate_and_fades() -> None:
    found = rates(traffic("rush"))
    assert found[:10] == found[20:] == [2_000] * 10
    assert 2_000 < found[10] < found[11] < found[14] == found[15] == 8_000 > found[18] > found[19]


def test_outage_answers_503_after_a_second_at_one_endpoint() -> None:
    model = traffic("outage")
    assert (
        share(model, PROFILE, 503, 0, 10) == share(model, HOME, 503, 10, 20) == share(model, PROFILE, 503, 20, 30) == 0
    )
    assert 0.55 < share(model, PROFILE, 503, 13, 17) < 0.65
    refused = column(model, "response_us", 13, 17)[column(model, "status", 13, 17) == 503]
    assert refused.min() >= 1_000_000


def test_slow_stretches_the_times_of_one_endpoint() -> None:
    model = traffic("slow")
    assert 10 < median_us(model, LOGIN, 13, 17) / median_us(model, LOGIN, 0, 10) < 14
    assert 0.9 < median_us(model, HOME, 13, 17) / median_us(model, HOME, 0, 10) < 1.1


def test_ddos_adds_requests_of_one_network() -> None:
    model = traffic("ddos")
    hostile = column(model, "hostile", 13, 17)
    assert 0.4 < hostile.mean() < 0.48
    assert set(column(model, "endpoint", 13, 17)[hostile]) == {LOGIN}
    assert set(column(model, "status", 13, 17)[hostile]) == {401, 429}
    assert not column(model, "hostile", 0, 9.9).any()


def test_deploy_fails_first_and_is_slow_until_it_is_warm() -> None:
    model = traffic("deploy")
    assert 0.15 < share(model, HOME, 502, 10, 12.4) < 0.35
    assert share(model, HOME, 502, 13, 20) == share(model, PROFILE, 502, 10, 20) == 0
    usual = median_us(model, HOME, 0, 9)
    assert median_us(model, HOME, 12.6, 14) > 2.5 * usual
    assert median_us(model, HOME, 19, 20) < 1.3 * usual


def test_flap_fails_and_recovers_again_and_again() -> None:
    model = traffic("flap", period="4s")
    down = [share(model, PROFILE, 503, second, second + 1) > 0.5 for second in range(12)]
    assert down == [True, True, False, False] * 3


def test_late_lines_are_of_the_past_and_some_of_the_future() -> None:
    model = traffic("late", share=0.05, by="1h", ahead=0.01, ahead_by="30s")
    behind, ahead, total = 0, 0, 0
    for slot in range(100):
        at = model.requests(slot).at_us
        begin = START_US + slot * SLOT_US
        behind, ahead, total = behind + (at < begin).sum(), ahead + (at >= begin + SLOT_US).sum(), total + len(at)
        assert at.min() >= begin - 3_600_000_000
        assert at.max() < begin + SLOT_US + 30_000_000
    assert 0.045 < behind / total < 0.055
    assert 0.008 < ahead / total < 0.012


def test_duplicates_poison_and_skew_have_their_shares() -> None:
    model = traffic("duplicates")
    again = [model.is_sent_again(slot, part) for slot in range(300) for part in range(10)]
    assert 0.012 < float(np.mean(again)) < 0.028
    assert not any(traffic("steady").is_sent_again(slot, 0) for slot in range(300))
    kinds = Counter(column(traffic("poison"), "poison", 0, 10).tolist())
    assert 0.018 < 1 - kinds[0] / kinds.total() < 0.022
    assert min(kinds[kind] for kind in range(1, 5)) > 0
    assert (column(traffic("skew"), "endpoint", 0, 5) == HOME).mean() > 0.9


def test_adding_an_event_changes_nothing_else() -> None:
    """An order that comes while a run goes on leaves the draws of all other things as they were."""
    plain, struck = traffic("steady"), traffic("outage", endpoint="/profile", ramp=0)
    for slot in range(5):
        one, other = plain.requests(slot), struck.requests(slot)
        for name in ("at_us", "endpoint", "address", "user"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        kept = other.status != 503
        assert np.array_equal(one.response_us[kept], other.response_us[kept])


def test_events_of_history_are_told_in_its_own_time() -> None:
    """An hour in a second: an outage of its middle third is of twenty minutes."""
    timeline = Timeline((Change(0, 5_000.0),), events_of("outage", 3_600, SHOP))
    model = Traffic(SHOP, timeline, seed=3, times=Times(START_US, START_US, 3_600.0))
    refused = np.concatenate([r.at_us[r.status == 503] for r in map(model.requests, range(10))])
    assert refused.min() >= START_US + 1_080_000_000
    assert refused.max() < START_US + 2_520_000_000


def test_a_timeline_combines_scenarios(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        '[[event]]\nat = "5s"\nfor = "10s"\nscenario = "slow"\nendpoint = "/home"\nfactor = 3\n'
        '[[event]]\nscenario = "poison"\nshare = 0.5\n'
    )
    slow, poison = events_of(str(path), 60, SHOP)
    assert (slow.scenario, slow.from_s, slow.to_s, slow.endpoints, slow.parameters["factor"]) == (
        "slow",
        5,
        15,
        (HOME,),
        3,
    )
    assert (poison.scenario, poison.from_s, poison.to_s) == ("poison", 0, 60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[event]]\nscenario = "slwo"\n', "did you mean `slow`"),
        ('[[event]]\nscenario = "slow"\nfaktor = 2\n', "did you mean `factor`"),
        ('[[event]]\nscenario = "slow"\nendpoint = "/logn"\n', "did you mean `/login`"),
        ('[[event]]\nscenario = "slow"\nfactor = 0\n', "from 1 to 1000"),
        ('[[event]]\nscenario = "slow"\nat = "2m"\n', "begin before"),
        ('[[event]]\nat = "2s"\n', "one of: steady"),
        ('[[event]]\nscenario = "rush"\nendpoint = "/home"\n', "strikes all"),
        ("[[events]]\n", "[[event]] at, for, scenario"),
        ("nonsense", "or name a scenario"),
    ],
)
def test_a_timeline_that_cannot_be_says_what_can(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(Invalid) as caught:
        events_of(str(path), 60, SHOP)
    assert says in caught.value.hint
    assert str(path) in caught.value.message


def test_an_unknown_scenario_names_near_ones() -> None:
    with pytest.raises(Invalid) as caught:
        events_of("outrage", 60, SHOP)
    assert "did you mean `outage`" in caught.value.hint
    with pytest.raises(Invalid, match="cannot be read"):
        events_of("no/such.toml", 60, SHOP)


def test_every_scenario_is_described_and_can_be_made_by_name() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.about
        assert all(event.scenario == name for event in events_of(name, 60, SHOP))
