"""The load: the same lines for the same seed, of which the product reads what the plan says, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.config.settings import IngestSettings
from tailrace.testing.load import ack_log
from tailrace.testing.load.ack_log import Acked
from tailrace.testing.load.plan import ENDPOINTS, RESEND_AFTER_MAX, LoadPlan, body_of, lines_of
from tailrace.testing.load.sender import COUNTERS, Answer, see_through
from tests.oracle.lines import parse_json

assert IngestSettings().key_field == "endpoint"
PLAN = LoadPlan(seed=7, start_ms=1_790_000_000_000, rate=1000, lines_per_post=40)
POSTS = st.tuples(st.integers(0, 3), st.integers(0, 10**7))


@given(POSTS, st.integers(0, 2**40))
def test_a_post_is_the_same_whenever_it_is_made_and_another_with_another_seed(post: tuple[int, int], seed: int) -> None:
    plan = replace(PLAN, seed=seed)
    body = body_of(lines_of(plan, *post))
    assert body == body_of(lines_of(replace(plan), *post))
    assert body != body_of(lines_of(replace(plan, seed=seed + 1), *post))
    assert plan.stamp(*post) != plan.stamp(post[0], post[1] + 1)


@given(POSTS, st.integers(1, 2**40))
def test_a_reader_of_its_own_finds_in_the_bytes_what_the_plan_says(post: tuple[int, int], first: int) -> None:
    lines = lines_of(replace(PLAN, malformed=200), *post)
    for place, text in enumerate(body_of(lines, first).split(b"\n")):
        record = parse_json(text)
        assert (record is not None) == lines.good[place]
        if record is not None:
            fields = json.loads(text)
            assert record.at_us == lines.at_ms[place] * 1000
            assert record.response == lines.response[place]
            assert record.endpoint == ENDPOINTS[lines.endpoint[place]]
            assert fields["user"] == f"u{lines.user[place]:07d}"


def test_shares_of_late_and_malformed_lines_and_of_posts_sent_again_are_as_asked_for() -> None:
    plan = replace(PLAN, lines_per_post=1000)
    lines = [lines_of(plan, 0, number) for number in range(200)]
    on_time = [
        plan.start_ms + number * plan.senders * 1000 + np.arange(1000) - line.at_ms for number, line in enumerate(lines)
    ]
    delays = np.concatenate(on_time)
    assert 0.045 < (delays > 0).mean() < 0.055
    assert (delays >= 0).all()
    assert 24 * 3_600_000 < delays.max() < 72 * 3_600_000
    assert 0.009 < np.mean([1 - line.good.mean() for line in lines]) < 0.011
    after = [plan.resend_after(1, number) for number in range(10_000)]
    again = [each for each in after if each is not None]
    assert 150 < len(again) < 250
    assert {1, RESEND_AFTER_MAX} <= set(again) <= set(range(1, RESEND_AFTER_MAX + 1))


def test_every_user_comes_before_one_comes_again() -> None:
    plan = replace(PLAN, users=1600)
    seen = [lines_of(plan, sender, number).user for number in range(10) for sender in range(4)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(1600))


def test_posts_of_all_senders_together_go_out_evenly() -> None:
    due = sorted(PLAN.due_s(sender, number) for sender in range(4) for number in range(100))
    assert np.allclose([b - a for a, b in pairwise(due)], PLAN.lines_per_post / PLAN.rate)


def test_what_was_acknowledged_is_read_back_though_the_last_line_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "acked.ndjson"
    ack_log.begin(path, PLAN)
    assert ack_log.read(path) == Acked(PLAN, (0, 0, 0, 0))
    ack_log.note(path, (1, 2, 3, 4))
    ack_log.note(path, (5, 6, 7, 8))
    assert ack_log.read(path) == Acked(PLAN, (5, 6, 7, 8))
    path.write_text(path.read_text() + '{"posts":[9, 1')
    assert ack_log.read(path) == Acked(PLAN, (5, 6, 7, 8))


# -- what a sender makes of answers ------------------------------------------------------------------------------------


def sent(*answers: Answer, known: bool = False) -> tuple[str | None, dict[str, int], list[float]]:
    """(complaint, counters, pauses) of one post that gets these answers."""
    counters, pauses, stamps = [0] * len(COUNTERS), [], set()
    left = iter(answers)

    def post(body: bytes, stamp: str) -> Answer:
        stamps.add((stamp, body))
        return next(left)

    problem = see_through(PLAN, 0, 3, post, counters, pauses.append, known=known)
    assert len(stamps) == 1, "each attempt is the same post"
    assert next(left, None) is None
    return problem, dict(zip(COUNTERS, counters, strict=True)), pauses


def ok(accepted: int, dead: int, again: int) -> Answer:
    return 200, {"accepted": accepted, "dead_lettered_total": dead, "deduplicated": again}, 0.0


GOOD = int(lines_of(PLAN, 0, 3).good.sum())
DEAD = 40 - GOOD
NONE: Answer = (0, {}, 0.1)


def test_a_post_is_repeated_until_it_is_acknowledged() -> None:
    problem, counts, pauses = sent(NONE, (429, {}, 10.0), (503, {}, 2.0), ok(GOOD, DEAD, 0))
    assert problem is None
    assert counts == {"posts": 0, "resent": 0, "deduplicated": 0, "uncertain": 80, "repeated": 3, "resting": 0}
    assert pauses == [0.1, 1.0, 1.0]


@pytest.mark.parametrize("answer", [ok(GOOD, DEAD, 0), ok(0, 0, 40), ok(GOOD - 5, DEAD, 5)])
def test_what_an_unanswered_attempt_stored_may_be_called_known(answer: Answer) -> None:
    problem, counts, _ = sent(NONE, answer)
    assert problem is None
    assert counts["deduplicated"] == answer[1]["deduplicated"]


WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("a line is missing", lambda: sent(ok(GOOD - 1, DEAD, 0))),
    ("a good line is called dead", lambda: sent(ok(GOOD - 1, DEAD + 1, 0))),
    ("a line is called known that never came", lambda: sent(ok(GOOD - 1, DEAD, 1))),
    ("a known line is stored again", lambda: sent(ok(1, 0, 39), known=True)),
    ("more than there is", lambda: sent(NONE, ok(GOOD + 1, DEAD, 0))),
    ("a good line is called dead after a retry", lambda: sent(NONE, ok(GOOD - 1, DEAD + 1, 0))),
    ("refused for good", lambda: sent((400, {"error": "no"}, 0.0))),
]


@pytest.mark.parametrize("attempt", [attempt for _, attempt in WRONG], ids=[name for name, _ in WRONG])
def test_an_answer_that_cannot_be_right_is_a_complaint(attempt: Callable[[], Any]) -> None:
    assert attempt()[0] is not None
