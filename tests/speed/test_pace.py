"""How long the speed layer waits between two steps."""

from tailrace.speed.pace import UNWATCHED_POLL_S, pause_s


def test_idle_steps_wait_the_poll_interval() -> None:
    assert pause_s(0.001, 0.04) == 0.04


def test_busy_steps_leave_four_fifths_of_the_core() -> None:
    assert pause_s(0.1, 0.04) == 0.4


def test_the_wait_is_bounded() -> None:
    assert pause_s(10.0, 0.04) == 0.5


def test_a_layer_that_nobody_watches_polls_less_often() -> None:
    assert pause_s(0.001, 0.04, watched=False) == UNWATCHED_POLL_S
    assert pause_s(0.001, 1.0, watched=False) == 1.0
    assert pause_s(0.001, 0.04, watched=True) == 0.04


def test_a_layer_that_is_behind_goes_on_at_once() -> None:
    assert pause_s(0.1, 0.04, behind=True) == 0.0
