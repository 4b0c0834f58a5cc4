"""The traffic model: the same for the same seed, exact in number, and it tells the story it promises."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from typing import Any

import pytest

from tailrace.model.window import parse_iso
from tailrace.producers import incidents
from tailrace.producers.traffic import SLOT_US, Traffic, posts
from tailrace.runtime.clock import ManualClock

START_US = 1_800_000_000_000_000


def traffic(rate: float = 400, seed: int = 1) -> Traffic:
    return Traffic(seed=seed, rate=rate, start_us=START_US)


def records(body: memoryview | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bytes(body).splitlines()]


def between(model: Traffic, from_s: int, to_s: int) -> list[dict[str, Any]]:
    return [r for slot in range(from_s * 10, to_s * 10) for r in records(model.body(slot))]


def test_a_slot_is_a_function_of_seed_start_and_number() -> None:
    in_order = [bytes(traffic().body(slot)) for slot in range(20)]
    backwards = [bytes(traffic().body(slot)) for slot in reversed(range(20))]
    assert in_order == backwards[::-1]
    assert in_order[0] != bytes(traffic(seed=2).body(0))


@pytest.mark.parametrize("rate", [3, 400, 333.3, 50_000])
def test_totals_are_known_beforehand(rate: float) -> None:
    model = traffic(rate)
    made = [bytes(model.body(slot)).count(b"\n") for slot in range(50)]
    assert made == [model.lines_in(slot) for slot in range(50)]
    assert sum(made) == model.lines_before(50) == int(rate * 5)


def test_a_burst_is_in_the_totals() -> None:
    model = traffic(100)
    slots = range(2400, 2450)
    made = sum(bytes(model.body(slot)).count(b"\n") for slot in slots)
    assert made == model.lines_before(2450) - model.lines_before(2400) == 900


def test_a_line_has_the_fields_of_the_default_record() -> None:
    for record in between(traffic(), 0, 3):
        assert list(record) == [
            "timestamp", "service", "endpoint", "method", "status", "response_ms", "ip", "level", "trace_id", "message",
        ]  # fmt: skip
        assert (record["service"], record["endpoint"]) in {
            ("auth", "/login"), ("web", "/home"), ("user", "/profile"), ("auth", "/logout"),
        }  # fmt: skip
        assert len(record["trace_id"]) == 16
        assert record["response_ms"] > 0
        ipaddress.ip_address(record["ip"])


def test_stamps_lie_in_their_slot_and_ascend() -> None:
    model = traffic(2_000)
    for slot in (0, 7, 1234):
        stamps = [parse_iso(r["timestamp"]) for r in records(model.body(slot))]
        assert stamps == sorted(stamps)
        assert START_US + slot * SLOT_US <= stamps[0]
        assert stamps[-1] < model.due_us(slot)


def mean_ms(found: list[dict[str, Any]], endpoint: str) -> float:
    times = [r["response_ms"] for r in found if r["endpoint"] == endpoint]
    return sum(times) / len(times)


def test_each_incident_shows_in_its_own_numbers_and_nowhere_else() -> None:
    model = traffic(300)
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
    seen = [incidents.current(second / 2) for second in range(1200)]
    assert {i.name for i in seen if i} == {"slow_login", "failing_profile", "one_network"}
    assert seen[:600] == seen[600:]
    for second in range(600):
        assert sum(i.intensity(second / 2) > 0 for i in incidents.INCIDENTS) <= 1


def test_posts_cut_a_slot_and_lose_nothing() -> None:
    model = traffic(25_000)
    made = list(posts(model, ManualClock(START_US), lines_max=1000, slots=4))
    assert [p.lines for p in made] == [1000, 1000, 500] * 4
    assert all(bytes(p.body).count(b"\n") == p.lines for p in made)
    assert b"".join(p.body for p in made) == b"".join(model.body(slot) for slot in range(4))


def test_a_fixed_number_of_slots_is_made_however_late() -> None:
    clock = ManualClock(START_US + 3_600_000_000)
    assert sum(p.lines for p in posts(traffic(100), clock, lines_max=1000, slots=20)) == 200


def test_endless_traffic_goes_on_with_the_present_after_a_sleep() -> None:
    clock = ManualClock(START_US)
    endless = posts(traffic(100), clock, lines_max=1000)
    assert next(endless).due_us == START_US + SLOT_US
    clock.advance(3600)
    late = next(endless)
    assert clock.now_us() - late.due_us <= SLOT_US
