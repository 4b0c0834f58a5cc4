"""Laws of the state machine: what holds for whatever windows come."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.alerts.state import FLAPPING, IDLE, Instance, Status, Timing, advance

STEP_US = 10_000_000
conditions = st.lists(st.sampled_from([True, False, None]), max_size=60)
timings = st.builds(Timing, st.integers(0, 6).map(lambda n: n * STEP_US), st.integers(0, 6).map(lambda n: n * STEP_US))


def run(timing: Timing, windows: list[bool | None], start: Instance = IDLE, first: int = 1) -> tuple[Instance, list]:
    instance, changes = start, []
    for number, breached in enumerate(windows, first):
        instance, new = advance(instance, timing, number * STEP_US, breached, float(number))
        changes += new
    return instance, changes


@settings(max_examples=60, deadline=None)
@given(timings, conditions)
def test_changes_follow_each_other_and_end_in_the_status(timing: Timing, windows: list[bool | None]) -> None:
    instance, changes = run(timing, windows)
    status = Status.OK
    for change in changes:
        assert change.before is status
        assert change.after is not status
        status = change.after
    assert instance.status is status


@settings(max_examples=60, deadline=None)
@given(timings, conditions)
def test_it_fires_exactly_when_a_breach_has_lasted(timing: Timing, windows: list[bool | None]) -> None:
    """Against the sentence of the documentation, counted by hand: windows that cannot be judged are as if they had not been there."""
    _, changes = run(timing, windows)
    fired = [c.at_us for c in changes if c.after is Status.FIRING and c.before is not Status.RECOVERING]
    over = [c.at_us for c in changes if c.after is Status.OK and c.before is not Status.PENDING]
    expected_fired, expected_over = [], []
    begun: int | None = None
    gone: int | None = None
    firing = False
    for at_us, breached in ((n * STEP_US, b) for n, b in enumerate(windows, 1) if b is not None):
        if not firing:
            begun = (at_us if begun is None else begun) if breached else None
            if begun is not None and at_us - begun >= timing.for_us:
                firing, gone = True, None
                expected_fired.append(at_us)
        else:
            gone = None if breached else (at_us if gone is None else gone)
            if gone is not None and at_us - gone >= timing.keep_firing_us:
                firing, begun = False, None
                expected_over.append(at_us)
    assert (fired, over) == (expected_fired, expected_over)


@settings(max_examples=60, deadline=None)
@given(timings, conditions, st.integers(0, 60))
def test_a_restart_between_two_windows_changes_nothing(timing: Timing, windows: list[bool | None], cut: int) -> None:
    whole, changes = run(timing, windows)
    half, first = run(timing, windows[:cut])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(half), type=Instance)
    assert run(timing, windows[cut:], stored, cut + 1) == (whole, changes[len(first) :])


@settings(max_examples=60, deadline=None)
@given(timings, conditions, st.integers(0, 61), st.booleans())
def test_a_window_is_judged_once(timing: Timing, windows: list[bool | None], again: int, breached: bool) -> None:
    instance, _ = run(timing, windows)
    if again * STEP_US <= instance.at_us:
        assert advance(instance, timing, again * STEP_US, breached) == (instance, [])


@settings(max_examples=60, deadline=None)
@given(timings, st.lists(st.booleans(), max_size=60))
def test_clear_windows_of_an_idle_alert_can_be_left_out(timing: Timing, windows: list[bool]) -> None:
    """What makes a replay cheap: only where something is breached, or an alert is active, is there anything to do."""
    _, whole = run(timing, windows)
    instance, changes = IDLE, []
    for number, breached in enumerate(windows, 1):
        if breached or instance.is_active or instance.breached:
            instance, new = advance(instance, timing, number * STEP_US, breached, float(number))
            changes += new
    assert changes == whole


def test_flapping_shows_and_fades() -> None:
    instance, _ = run(Timing(), [True, False] * 6)
    assert instance.flap_score(instance.at_us) > FLAPPING
    assert instance.flap_score(instance.at_us + 3_600_000_000) < FLAPPING
    steady, _ = run(Timing(), [True] * 12)
    assert steady.flap_score(steady.at_us) < FLAPPING
