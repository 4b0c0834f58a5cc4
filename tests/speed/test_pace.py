"""How long the speed layer waits between two steps."""

from tailrace.speed.pace import pause_s


def test_idle_steps_wait_the_poll_interval() -> None:
    assert pause_s(0.001, 0.04) == 0.04


def test_busy_steps_leave_four_fifths_of_the_core() -> None:
    assert pause_s(0.1, 0.04) == 0.4


def test_the_wait_is_bounded() -> None:
    assert pause_s(10.0, 0.04) == 0.5


def test_a_layer_that_is_behind_goes_on_at_once() -> None:
    assert pause_s(0.1, 0.04, behind=True) == 0.0
