"""Which windows break a rule, and what a replay makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.alerts.frame import Frame
from tailrace.alerts.judge import judge
from tailrace.alerts.replay import bounded, progress, replay
from tailrace.alerts.rule import Rule
from tailrace.alerts.state import Status
from tests.alerts.frames import STEP_US, frame, rule

values = st.lists(st.one_of(st.none(), st.floats(-50, 50)), min_size=1, max_size=40)


def verdicts(asked: Rule, found: Frame) -> list[list[int]]:
    return judge(asked, found).verdicts.tolist()


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"above": 5}, [0, 0, 1, 0]),
        ({"at_least": 5}, [0, 1, 1, 0]),
        ({"below": 5}, [1, 0, 0, 0]),
        ({"at_most": 5}, [1, 1, 0, 0]),
        ({"below": 5, "missing": "zero"}, [1, 0, 0, 1]),
        ({"below": 5, "missing": "hold"}, [1, 0, 0, -1]),
    ],
)
def test_thresholds_and_what_is_missing(given_: dict[str, Any], expected: list[int]) -> None:
    assert verdicts(rule(**given_), frame({"/a": [1, 5, 9, None]})) == [expected]


def test_a_window_that_does_not_count_is_clear() -> None:
    assert verdicts(rule(above=5, when="n > 1"), frame({"/a": [9, 9]}, counts=False)) == [[0, 0]]


def test_no_data_only_of_keys_that_were_there_and_not_for_ever() -> None:
    asked = rule(kind="no_data", lookback="30s")
    assert verdicts(asked, frame({"/a": [None, 1, None, None, None, None, 2]})) == [[0, 0, 1, 1, 1, 0, 0]]


def test_a_change_is_against_the_median_of_the_windows_before() -> None:
    asked = rule(kind="change", above=100, against="40s")
    found = judge(asked, frame({"/a": [10, 10, 1000, 10, 30, 10]}))
    np.testing.assert_array_equal(found.baseline, [[np.nan, np.nan, 10, 10, 10, 30]])
    assert found.verdicts.tolist() == [[0, 0, 1, 0, 1, 0]]


def test_a_drop_counts_what_is_missing_as_zero() -> None:
    asked = rule(kind="change", below=-80, against="40s", missing="zero")
    assert verdicts(asked, frame({"/a": [10, 10, 10, None, None]})) == [[0, 0, 0, 1, 1]]
    quiet = rule(kind="change", below=-80, against="40s", missing="zero", baseline_min=11)
    assert verdicts(quiet, frame({"/a": [10, 10, 10, None, None]})) == [[0, 0, 0, 0, 0]]


def test_a_window_is_not_compared_with_windows_that_overlap_it() -> None:
    """Hopping windows of two steps: the first that does not overlap ends two steps earlier."""
    asked = rule(kind="change", above=50, over="20s", against="40s")
    found = judge(asked, frame({"/a": [1, 2, 3, 4, 5, 6]}, over=2))
    np.testing.assert_array_equal(found.baseline, [[np.nan, np.nan, np.nan, np.nan, 3, 4]])


@settings(max_examples=60, deadline=None)
@given(values, st.integers(0, 4), st.integers(0, 4), st.sampled_from(["threshold", "change", "no_data"]))
def test_live_window_by_window_is_what_a_replay_finds(cells: list[Any], for_: int, keep: int, kind: str) -> None:
    """The engine sees a window at a time, with as many before it as the rule needs; a replay sees all at once."""
    timing = {"for": f"{for_ * 10}s", "keep_firing_for": f"{keep * 10}s"}
    more = {"lookback": "50s"} | ({"against": "60s"} if kind == "change" else {})
    asked = rule(kind=kind, **timing, **more)
    whole = frame({"/a": cells})
    replayed, _ = replay(asked, whole, 0)
    instances: dict[Any, Any] = {}
    changes = []
    for end in range(1, len(cells) + 1):
        seen = frame({"/a": cells[:end]}).after(end * STEP_US - asked.before_us())
        instances, new = progress(asked, seen, instances, (end - 1) * STEP_US)
        changes += new
    assert list(replayed.changes) == changes


@settings(max_examples=60, deadline=None)
@given(values)
def test_episodes_are_those_of_the_changes(cells: list[Any]) -> None:
    replayed, _ = replay(rule(above=0), frame({"/a": cells}), 0)
    fired = [c.at_us for _, c in replayed.changes if c.after is Status.FIRING]
    assert [e.fired_us for e in replayed.episodes] == fired
    assert all(e.worst is not None and e.worst > 0 for e in replayed.episodes)


def test_more_instances_than_allowed_are_left_out_and_counted() -> None:
    asked = rule(above=0, instances_max=2)
    first, _ = progress(asked, frame({"/c": [1]}), {}, 0)
    after, changes = progress(asked, frame({f"/{k}": [0, 1] for k in "abcd"}), first, STEP_US)
    kept, told, left_out = bounded(asked, first, after, changes)
    assert ("/c",) in kept
    assert (len(kept), left_out) == (2, 2)
    assert {key for key, _ in told} <= kept.keys()
