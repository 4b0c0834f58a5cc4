"""Which windows the engine judges, and when; what it does when it cannot; what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailrace.alerts.engine import Engine
from tailrace.alerts.frame import Frame, Grid, empty_frame
from tailrace.alerts.rule import Rule
from tailrace.alerts.rule_files import RuleFolder
from tailrace.alerts.store import AlertStore
from tailrace.errors import Invalid, TailraceError, Unavailable
from tailrace.runtime.clock import ManualClock

S = 1_000_000
BEGIN_US = 1_800_000_000 * S
RULE = 'view = "v"\nvalue = "x"\nabove = 5\nover = "10s"\nstep = "10s"\ndelay = "5s"\n'


class Numbers:
    """In place of the views: a value for each window's end, since BEGIN_US in seconds. `asked`: the grids that were."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.values: dict[int, float] = {}
        self.behind_us = 0
        self.problem: TailraceError | None = None
        self.asked: list[Grid] = []

    def pinned(self) -> None:
        return None

    def complete_us(self, rule: Rule) -> int:
        return self.clock.now_us() - self.behind_us

    def step_us(self, rule: Rule) -> int:
        return rule.step_us

    def frames(self, wanted: Mapping[str, tuple[Rule, Grid]]) -> dict[str, Any]:
        return {name: self.problem or self._frame(grid) for name, (_, grid) in wanted.items()}

    def _frame(self, grid: Grid) -> Frame:
        self.asked.append(grid)
        made = empty_frame(grid, ("k",), (("a",),))
        for at, end in enumerate(grid.ends()):
            value = self.values.get(int(end - BEGIN_US) // S)
            made.values[0, at] = np.nan if value is None else value
            made.present[0, at] = made.counts[0, at] = value is not None
        return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGIN_US)


@pytest.fixture
def numbers(clock: ManualClock) -> Numbers:
    return Numbers(clock)


def make(tmp_path: Path, numbers: Numbers, clock: ManualClock, rule: str = RULE) -> Engine:
    (tmp_path / "rules").mkdir(exist_ok=True)
    (tmp_path / "rules" / "r.toml").write_text(rule)
    for name in RuleFolder(tmp_path / "rules").book.shipped:
        (tmp_path / "rules" / f"{name}.toml").write_text('kind = "ledger"\nenabled = false\n')
    return Engine(RuleFolder(tmp_path / "rules"), numbers, AlertStore(tmp_path / "alerts.db"), clock)  # type: ignore[arg-type]


def judged(engine: Engine) -> int:
    return (engine.states()["r"].judged_us - BEGIN_US) // S


def test_a_window_is_judged_once_it_is_over_and_all_of_it_is_there(
    tmp_path: Path, numbers: Numbers, clock: ManualClock
) -> None:
    engine = make(tmp_path, numbers, clock)
    engine.tick()
    assert judged(engine) == -10
    numbers.values = {10: 9.0}
    clock.advance(14)
    engine.tick()
    assert judged(engine) == 0, "the delay of the next is not over"
    clock.advance(1)
    numbers.behind_us = 3 * S
    assert engine.tick() == 0, "the speed layer has not read all that had arrived"
    numbers.behind_us = 0
    for _ in range(2):
        engine.tick()
    assert (judged(engine), [a.status for a in engine.alerts()]) == (10, ["firing"])
    assert [g.count for g in numbers.asked] == [1, 1, 1]


def test_windows_that_were_missed_are_judged_in_their_order(
    tmp_path: Path, numbers: Numbers, clock: ManualClock
) -> None:
    engine = make(tmp_path, numbers, clock, RULE + 'for = "10s"\n')
    engine.tick()
    numbers.values = {10: 9.0, 20: 9.0, 30: 1.0, 40: 9.0}
    clock.advance(45)
    again = make(tmp_path, numbers, clock, RULE + 'for = "10s"\n')
    again.tick()
    history = [(h.change.at_us // S - BEGIN_US // S, h.change.after) for h in again.store.history(0, 1 << 62, None, 10)]
    assert history == [(40, "pending"), (30, "ok"), (20, "firing"), (10, "pending")]


def test_what_fired_before_a_restart_is_the_same_alert_after(
    tmp_path: Path, numbers: Numbers, clock: ManualClock
) -> None:
    engine = make(tmp_path, numbers, clock)
    numbers.values = dict.fromkeys(range(-10, 100, 10), 9.0)
    engine.tick()
    (before,) = engine.alerts()
    clock.advance(30)
    again = make(tmp_path, numbers, clock)
    assert not again.is_ready, "until the states are known nobody is told anything"
    again.tick()
    (after,) = again.alerts()
    assert (after.episode, after.fired_us) == (before.episode, before.fired_us)


def test_a_rule_that_cannot_be_judged_keeps_its_alerts(tmp_path: Path, numbers: Numbers, clock: ManualClock) -> None:
    engine = make(tmp_path, numbers, clock)
    numbers.values = {-10: 9.0}
    engine.tick()
    numbers.problem = Unavailable("the query process does not answer", hint="wait")
    clock.advance(60)
    engine.tick()
    assert engine.problems["r"].message == "the query process does not answer"
    assert [a.status for a in engine.alerts()] == ["firing"]
    numbers.problem = None
    engine.tick()
    assert engine.problems == {}
    assert engine.alerts() == []


def test_a_broken_file_leaves_the_rule_and_its_alerts_also_over_a_restart(
    tmp_path: Path, numbers: Numbers, clock: ManualClock
) -> None:
    numbers.values = dict.fromkeys(range(-10, 100, 10), 9.0)
    engine = make(tmp_path, numbers, clock)
    engine.tick()
    (tmp_path / "rules" / "r.toml").write_text("above = ")
    clock.advance(10)
    assert engine.tick() == 1
    assert [p.name for p in engine.folder.book.problems] == ["r"]
    assert [a.status for a in engine.alerts()] == ["firing"]
    again = Engine(RuleFolder(tmp_path / "rules"), numbers, engine.store, clock)  # type: ignore[arg-type]
    again.tick()
    (tmp_path / "rules" / "r.toml").write_text(RULE)
    clock.advance(10)
    again.tick()
    assert [a.fired_us for a in again.alerts()] == [BEGIN_US - 10 * S], "it is the alert of before"


@pytest.mark.parametrize("change", ["gone", "off"])
def test_a_rule_that_is_gone_ends_its_alerts_and_says_why(
    tmp_path: Path, numbers: Numbers, clock: ManualClock, change: str
) -> None:
    numbers.values = {-10: 9.0}
    engine = make(tmp_path, numbers, clock)
    engine.tick()
    file = tmp_path / "rules" / "r.toml"
    file.unlink() if change == "gone" else file.write_text(RULE + "enabled = false\n")
    engine.tick()
    assert engine.alerts() == []
    assert engine.store.history(0, 1 << 62, "r", 1)[0].reason.startswith("the rule is")


def test_a_clock_that_is_set_back_does_not_stop_judging(tmp_path: Path, numbers: Numbers, clock: ManualClock) -> None:
    engine = make(tmp_path, numbers, clock)
    engine.tick()
    clock.step(-7200)
    engine.tick()
    clock.advance(10)
    assert engine.tick() == 1
    assert judged(engine) == -7200


def test_a_rule_is_written_and_read_back_as_it_was(tmp_path: Path) -> None:
    folder = RuleFolder(tmp_path)
    given = {
        "view": "v", "value": "x", "above": 0.5, "by": ["a", 'b"'], "where": "a = 'q\\\n\"\x7f\x01'", "enabled": True,
        "labels": {"severity": "page"}, "annotations": {"summary": "{{value}} \u202e"},
    }  # fmt: skip
    folder.put("one", given)
    folder.look()
    assert folder.book.rules["one"].given == given
    with pytest.raises(Invalid):
        folder.put("two", given | {"colour": "red"})
    assert not (tmp_path / "two.toml").exists()
    folder.delete("one")
    folder.look()
    assert "one" not in folder.book.rules


@pytest.mark.parametrize(
    "given",
    [
        {}, {"view": "v"}, {"view": "v", "value": "x"}, {"view": "v", "value": "x", "above": "5"},
        {"view": "v", "value": "x", "above": 1, "below": 2}, {"view": "v", "sql": "s", "value": "x", "above": 1},
        {"view": "v", "value": "x", "above": 1, "step": "7s"}, {"view": "v", "value": "x", "above": 1, "over": "65s", "step": "10s"},
        {"kind": "change", "view": "v", "value": "x", "above": 1, "against": "90s"}, {"kind": "drift", "view": "v"},
        {"view": "v", "value": "x", "above": 1, "by": "a"}, {"view": "v", "value": "x", "above": 1, "labels": {"a": 1}},
        {"view": "v", "value": "x", "above": 1, "by": ["a"], "annotations": {"s": "{{no}}"}}, {"view": "v", "value": "x", "above": True},
        {"view": "v", "value": "x", "above": 1, "for": "soon"}, {"view": "v", "value": "x", "above": 1, "instances_max": 0},
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_what_to_write(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        RuleFolder(tmp_path).put("r", given)
    assert refused.value.message.startswith("rule `r`")
