"""What a soak does follows from its seed, is spread over its time, and leaves nothing out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.run import arguments
from tests.soak.schedule import DECK, schedule


@given(st.integers(0, 10**6), st.floats(10, 7200), st.integers(0, 400))
def test_it_is_the_same_for_a_seed_in_the_order_of_time_and_within_it(seed: int, seconds: float, kills: int) -> None:
    faults = schedule(seed, seconds, kills)
    assert faults == schedule(seed, seconds, kills)
    times = [fault.at_s for fault in faults]
    assert times == sorted(times)
    assert all(0 < at_s < seconds for at_s in times)
    assert Counter(fault.kind for fault in faults)["kill"] == kills


def test_an_hour_has_every_kind_and_kills_every_role_all_the_time() -> None:
    faults = schedule(7, 3600, 300)
    kinds = Counter(fault.kind for fault in faults)
    assert kinds == {"kill": 300, "reshard": 120, "clock": 4, "disk": 1}
    assert Counter(fault.role for fault in faults if fault.kind == "kill") == {
        role: 25 * DECK.count(role) for role in DECK
    }
    assert [fault.amount for fault in faults if fault.kind == "clock"] == [3600, 0, -3600, 0]
    assert next(fault for fault in faults if fault.kind == "disk").amount == 60
    each_minute = Counter(int(fault.at_s // 60) for fault in faults if fault.kind == "kill")
    assert all(each_minute[minute] >= 2 for minute in range(2, 57))


def test_another_seed_is_another_order() -> None:
    assert schedule(1, 600, 50) != schedule(2, 600, 50)


def test_kills_are_five_a_minute_unless_they_are_named() -> None:
    assert arguments([]).kills == 300
    assert arguments(["--minutes", "10"]).kills == 50
    assert arguments(["--minutes", "10", "--kills", "3"]).kills == 3


@pytest.mark.parametrize(
    "words", [["--minutes", "0"], ["--kills", "-1"], ["--rate", "0"], ["--users", "3000000"], ["--checks", "-1"]]
)
def test_what_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err
