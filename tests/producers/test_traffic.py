"""The traffic model: the same for the same seed, exact in number, and it tells the story it promises."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Invalid
from tailrace.model.window import parse_iso
from tailrace.producers import story
from tailrace.producers.feed import Post
from tailrace.producers.lines import Renderer
from tailrace.producers.profile.read import shipped_profile
from tailrace.producers.scenarios.catalog import SCENARIOS
from tailrace.producers.scenarios.timeline import Change, Timeline, events_of
from tailrace.producers.story import posts, slot_posts
from tailrace.producers.traffic import SLOT_US, Times, Traffic, share_of
from tailrace.producers.truth import WINDOW_US, truth_of
from tailrace.runtime.clock import ManualClock

START_US = 1_800_000_000_000_000
SHOP = shipped_profile()


def told(rate: float = 400, seed: int = 1) -> Traffic:
    return story.story(seed=seed, rate=rate, start_us=START_US)


def made(scenario: str, rate: float = 1_000, seconds: float = 30, seed: int = 1) -> Traffic:
    timeline = Timeline((Change(0, rate),), events_of(scenario, seconds, SHOP))
    return Traffic(SHOP, timeline, seed=seed, times=Times(START_US, START_US))


def slot_of(model: Traffic, slot: int) -> list[Post]:
    return list(slot_posts(model, Renderer(SHOP, model.statuses, "0a1b2c3d"), slot))


def body(model: Traffic, slot: int) -> bytes:
    return b"".join(post.body for post in slot_of(model, slot))


def records(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def between(model: Traffic, from_s: float, to_s: float) -> list[dict[str, Any]]:
    return [r for slot in range(int(from_s * 10), int(to_s * 10)) for r in records(body(model, slot))]


def test_a_slot_is_a_function_of_seed_start_and_number() -> None:
    in_order = [body(told(), slot) for slot in range(20)]
    backwards = [body(told(), slot) for slot in reversed(range(20))]
    assert in_order == backwards[::-1]
    assert in_order[0] != body(told(seed=2), 0)


@given(
    processes=st.integers(1, 12),
    seed=st.integers(0, 2**63 - 1),
    rate=st.floats(0.5, 3_000),
    scenario=st.sampled_from(sorted(SCENARIOS)),
)
@settings(max_examples=25, deadline=None)
def test_any_number_of_processes_makes_the_same_lines(processes: int, seed: int, rate: float, scenario: str) -> None:
    """Each with a generator of its own, as in processes of their own."""
    slots = 13
    alone = [body(made(scenario, rate, 1.3, seed), slot) for slot in range(slots)]
    shared: dict[int, bytes] = {}
    for process in range(processes):
        model = made(scenario, rate, 1.3, seed)
        shared.update({slot: body(model, slot) for slot in share_of(slots, process, processes)})
    assert [shared[slot] for slot in range(slots)] == alone


@pytest.mark.parametrize("rate", [3, 400, 333.3, 50_000])
def test_totals_are_known_beforehand(rate: float) -> None:
    model = told(rate)
    counts = [body(model, slot).count(b"\n") for slot in range(50)]
    assert counts == [model.lines_in(slot) for slot in range(50)]
    assert sum(counts) == model.lines_before(50) == int(rate * 5)


def test_a_change_of_rate_counts_from_its_slot() -> None:
    model = made("steady", 100)
    model.timeline = model.timeline.with_change(Change(10, 0.0)).with_change(Change(20, 700.5))
    assert [model.lines_in(slot) for slot in range(9, 12)] == [10, 0, 0]
    assert model.lines_before(120) == 100 + int(700.5 * 10)


def test_a_burst_is_in_the_totals() -> None:
    model = told(100)
    slots = range(2400, 2450)
    counted = sum(body(model, slot).count(b"\n") for slot in slots)
    assert counted == model.lines_before(2450) - model.lines_before(2400) == 900


def test_a_line_has_the_fields_of_the_default_record() -> None:
    for record in between(told(), 0, 3):
        assert list(record) == [
            "timestamp", "service", "endpoint", "method", "status", "response_ms", "ip", "level", "trace_id", "message",
        ]  # fmt: skip
        assert (record["service"], record["endpoint"]) in {
            ("auth", "/login"), ("web", "/home"), ("user", "/profile"), ("auth", "/logout"),
        }  # fmt: skip
        assert len(record["trace_id"]) == 32
        assert record["response_ms"] > 0
        ipaddress.ip_address(record["ip"])


def test_no_two_lines_have_one_trace_id() -> None:
    found = [r["trace_id"] for r in between(made("ddos", 5_000, 3), 0, 3)]
    assert len(found) == len(set(found)) > 15_000


def test_stamps_lie_in_their_slot_and_ascend() -> None:
    model = told(2_000)
    for slot in (0, 7, 1234):
        stamps = [parse_iso(r["timestamp"]) for r in records(body(model, slot))]
        assert stamps == sorted(stamps)
        assert START_US + slot * SLOT_US <= stamps[0]
        assert stamps[-1] < model.times.due_us(slot)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_the_truth_is_what_the_lines_say(scenario: str) -> None:
    """Counted from the text by another way than the one that made it."""
    model = made(scenario, 2_000, 6)
    for slot in range(0, 60, 7):
        truth = truth_of(model.requests(slot), model.statuses)
        good, dead = Counter[tuple[int, str, int]](), 0
        sums = Counter[tuple[int, str, int]]()
        for line in body(model, slot).splitlines():
            try:
                record = json.loads(line)
                key = (parse_iso(record["timestamp"]) // WINDOW_US, record["endpoint"], record["status"])
            except (ValueError, KeyError, TypeError, Invalid):
                dead += 1
                continue
            good[key] += 1
            sums[key] += round(record["response_ms"] * 1000)
        codes = model.statuses.tolist()
        cells = {
            (window, SHOP.endpoints[key // len(codes)].path, codes[key % len(codes)]): (count, us)
            for window, key, count, us in truth.cells
        }
        assert cells == {key: (good[key], sums[key]) for key in good}
        assert (truth.dead_lines, truth.lines) == (dead, dead + good.total())


def mean_ms(found: list[dict[str, Any]], endpoint: str) -> float:
    times = [r["response_ms"] for r in found if r["endpoint"] == endpoint]
    return sum(times) / len(times)


def test_each_incident_of_the_story_shows_in_its_own_numbers_and_nowhere_else() -> None:
    model = told(300)
    quiet, slow, failing, attacked = (between(model, *span) for span in ((10, 25), (45, 60), (145, 160), (235, 250)))
    assert 60 < mean_ms(quiet, "/login") < 130
    assert mean_ms(slow, "/login") > 8 * mean_ms(quiet, "/login")
    assert mean_ms(slow, "/home") < 2 * mean_ms(quiet, "/home")
    errors = {name: Counter(r["status"] for r in found) for name, found in (("quiet", quiet), ("failing", failing))}
    assert errors["quiet"][503] == 0
    assert errors["failing"][503] > 0.4 * sum(r["endpoint"] == "/profile" for r in failing)
    assert {r["endpoint"] for r in failing if r["status"] == 503} == {"/profile"}
    hostile = [r for r in attacked if r["ip"].startswith("203.0.113.")]
    assert len(hostile) == len(attacked) - len(quiet) > 0
    assert Counter(r["status"] for r in hostile)[401] > 0.9 * len(hostile)
    assert not any(r["ip"].startswith("203.0.113.") for r in quiet)


def test_incidents_do_not_overlap_and_come_again() -> None:
    timeline = told().timeline
    seen = [[event.scenario for _, event, _ in timeline.active(second / 2)] for second in range(1200)]
    assert {name for names in seen for name in names} == {"slow", "outage", "ddos"}
    assert seen[:600] == seen[600:]
    assert max(len(names) for names in seen) == 1


def test_the_mix_is_that_of_the_profile() -> None:
    model = made("steady", 20_000, 20)
    drawn = np.concatenate([model.requests(slot).endpoint for slot in range(0, 200, 5)])
    found = np.bincount(drawn, minlength=4) / len(drawn)
    assert np.abs(found - [each.share for each in SHOP.endpoints]).max() < 0.01


def test_posts_cut_a_slot_and_lose_nothing() -> None:
    model = told(250_000)
    cut = list(posts(model, "0a1b2c3d", ManualClock(START_US), slots=4))
    assert [p.lines for p in cut] == [10_000, 10_000, 5_000] * 4
    assert all(bytes(p.body).count(b"\n") == p.lines for p in cut)
    assert b"".join(p.body for p in cut) == b"".join(body(model, slot) for slot in range(4))


def test_a_fixed_number_of_slots_is_made_however_late() -> None:
    clock = ManualClock(START_US + 3_600_000_000)
    assert sum(p.lines for p in posts(told(100), "0a1b2c3d", clock, slots=20)) == 200


def test_endless_traffic_goes_on_with_the_present_after_a_sleep() -> None:
    clock = ManualClock(START_US)
    endless = posts(told(100), "0a1b2c3d", clock)
    assert next(endless).due_us == START_US + SLOT_US
    clock.advance(3600)
    late = next(endless)
    assert clock.now_us() - late.due_us <= SLOT_US
