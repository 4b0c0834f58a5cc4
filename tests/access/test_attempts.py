"""How often a password may be tried."""

from __future__ import annotations

from tailrace.access.attempts import ADDRESS_FREE, BOTH_FREE, FORGET_S, KEPT_MAX, NAME_FREE, PAUSE_S_MAX, Attempts
from tailrace.runtime.clock import ManualClock


def fail(attempts: Attempts, clock: ManualClock, name: str, address: str) -> float:
    """Wait as long as it takes, then fail; how long that was."""
    waited_s = attempts.wait_s(name, address)
    clock.advance(waited_s)
    assert attempts.wait_s(name, address) == 0
    attempts.begin(name, address)
    return waited_s


def test_a_few_are_free_then_each_pause_is_twice_the_last() -> None:
    clock = ManualClock()
    attempts = Attempts(clock)
    waits = [fail(attempts, clock, "ada", "10.0.0.1") for _ in range(BOTH_FREE + 9)]
    assert waits[:BOTH_FREE] == [0.0] * BOTH_FREE
    assert waits[BOTH_FREE : BOTH_FREE + 4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == PAUSE_S_MAX
    assert attempts.wait_s("ADA", "10.0.0.1") == PAUSE_S_MAX, "the case of a name changes nothing"


def test_another_address_of_the_same_person_is_not_shut_out() -> None:
    clock = ManualClock()
    attempts = Attempts(clock)
    for _ in range(BOTH_FREE + 3):
        fail(attempts, clock, "ada", "10.0.0.1")
    assert attempts.wait_s("ada", "10.0.0.1") > 0
    assert attempts.wait_s("ada", "10.0.0.2") == 0


def test_many_names_from_one_address_and_one_name_from_many_addresses_are_slowed_down() -> None:
    clock = ManualClock()
    by_address, by_name = Attempts(clock), Attempts(clock)
    for n in range(ADDRESS_FREE):
        by_address.begin(f"user{n}", "10.0.0.1")
    for n in range(NAME_FREE):
        by_name.begin("ada", f"10.0.1.{n}")
    assert by_address.wait_s("somebody", "10.0.0.1") > 0
    assert by_address.wait_s("somebody", "10.0.0.2") == 0
    assert by_name.wait_s("ada", "10.9.9.9") > 0


def test_a_right_password_takes_its_own_attempt_back_and_time_the_rest() -> None:
    clock = ManualClock()
    attempts = Attempts(clock)
    for _ in range(BOTH_FREE - 1):
        attempts.begin("ada", "10.0.0.1")
    attempts.begin("ada", "10.0.0.1")
    attempts.forgive("ada", "10.0.0.1")
    assert attempts.wait_s("ada", "10.0.0.1") == 0
    for _ in range(ADDRESS_FREE + 5):
        fail(attempts, clock, "ada", "10.0.0.1")
    clock.advance(FORGET_S)
    assert attempts.wait_s("ada", "10.0.0.1") == 0


def test_what_is_remembered_is_bounded() -> None:
    attempts = Attempts(ManualClock())
    for n in range(KEPT_MAX):
        attempts.begin(f"user{n}", f"address{n}")
    assert len(attempts._tried) <= KEPT_MAX
