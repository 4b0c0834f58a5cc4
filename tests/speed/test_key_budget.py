"""A view with more keys than the speed layer holds: batch alone answers, exactly up to the frontier, and the answer says so."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.speed.backends.embedded import RETRY_S, RETURN_S
from tests.oracle.model import ENDPOINT_HEALTH, OVERALL_HEALTH, expected_rows, parse_all
from tests.oracle.rig import Put, Rig

KEYS_MAX = 60
"""Rows of one state table in one epoch: bins and registers of some twenty endpoints."""
VIEW = "endpoint_health"


def lines(count: int, keys: int, seed: int = 0) -> list[bytes]:
    return [
        json.dumps(
            {
                "timestamp": 1_795_341_600_000 + 1_000 * ((seed + n) % 25),
                "endpoint": f"/e/{(7 * seed + n) % keys}",
                "status": 200,
                "response_ms": 10 + n % 7,
                "ip": f"10.0.0.{n % 5}",
            }
        ).encode()
        for n in range(count)
    ]


class Sent:
    """A rig and what was put into it, by place."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder, keys_max=KEYS_MAX)
        self.places: list[tuple[str, int, bytes]] = []

    def put(self, post: list[bytes]) -> None:
        found: list[Put] = self.rig.put(post)
        self.places += [(shard, offset, post[line]) for put in found for shard, offset, line in put.places()]

    def batch_only(self, view: str = VIEW) -> bool:
        pinned = self.rig.pinned
        return pinned.speed.of(pinned.view(view)[0].version).batch_only

    def check(self) -> None:
        """Both views are exact for what they say they hold: all of it, or all up to the frontier."""
        for view in (ENDPOINT_HEALTH, OVERALL_HEALTH):
            _, rows = self.rig.rows(view.name)
            pinned = self.rig.pinned
            states = pinned.speed.of(pinned.view(view.name)[0].version)
            held = [line for shard, offset, line in self.places if offset < states.next_offsets.get(shard, 0)]
            assert rows == expected_rows(view, parse_all(held))
            if not states.batch_only:
                assert len(held) == len(self.places)
        self.rig.check()


@pytest.fixture
def sent(tmp_path: Path):  # type: ignore[no-untyped-def]
    found = Sent(tmp_path)
    found.put(lines(20, 3))
    found.rig.look()
    found.rig.settle()
    yield found
    found.rig.close()


def test_over_its_budget_a_view_answers_from_batch_alone_and_the_others_as_ever(sent: Sent) -> None:
    sent.put(lines(400, 200))
    sent.check()
    assert sent.batch_only()
    assert not sent.batch_only("overall_health")
    assert sum(row[2] for row in sent.rig.rows(VIEW)[1]) == 20
    sent.rig.settle()
    sent.check()
    assert sum(row[2] for row in sent.rig.rows(VIEW)[1]) == 420
    assert sent.rig.store.current().views[VIEW].unchecked > 0
    assert sent.rig.store.current().views["overall_health"].unchecked == 0


def test_it_comes_back_when_epochs_have_few_keys_again(sent: Sent) -> None:
    sent.put(lines(400, 200))
    sent.rig.settle()
    assert sent.batch_only()
    sent.rig.clock.advance(RETURN_S)
    sent.put(lines(10, 3))
    sent.rig.settle()
    sent.check()
    assert not sent.batch_only()
    sent.put(lines(10, 3, seed=5))
    sent.check()
    assert not sent.batch_only()


def test_it_tries_again_after_a_while(sent: Sent) -> None:
    sent.put(lines(400, 200))
    sent.rig.settle()
    sent.put(lines(400, 3))
    sent.rig.look()
    sent.rig.read()
    assert sent.batch_only()
    sent.rig.clock.advance(RETRY_S)
    sent.rig.settle()
    sent.check()
    assert not sent.batch_only()


def test_a_restart_over_the_budget_ends_there_again(sent: Sent) -> None:
    sent.put(lines(400, 200))
    sent.rig.seal()
    sent.rig.read()
    assert sent.batch_only()
    sent.rig.restart()
    sent.rig.look()
    sent.rig.read()
    sent.check()
    assert sent.batch_only()
    sent.rig.settle()
    sent.check()


def test_what_batch_counts_otherwise_is_still_found(sent: Sent) -> None:
    """The states are not compared, the number of records is."""
    sent.put(lines(400, 200))
    sent.rig.seal()
    sent.rig.read()
    assert sent.batch_only()
    version = sent.rig.store.current().views[VIEW].version
    for path in (sent.rig.states_dir / "speed" / version).glob("*.segment"):
        _count_one_more(path)
    sent.rig.consume()
    sent.rig.cycle()
    assert {finding.view for finding in sent.rig.store.findings()} == {VIEW}


def _count_one_more(path: Path) -> None:
    from tailrace.states.segment import SpeedSegment, read_speed_segment, write_speed_segment

    shard, epoch = path.stem[:20], int(path.stem[21:])
    states_dir, version = path.parents[2], path.parent.name
    found = read_speed_segment(states_dir, version, shard, epoch)
    assert found is not None
    assert found.tables is None
    write_speed_segment(states_dir, version, SpeedSegment(shard, epoch, found.records + 1, None))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([(5, 2), (30, 20), (150, 120)])),
        st.tuples(st.sampled_from(["look", "read", "seal", "consume", "cycle", "restart", "split", "wait"]), st.none()),
    ),
    max_size=16,
)


@settings(max_examples=8, deadline=None)
@given(STEPS)
def test_whatever_comes_in_between_answers_are_exact_for_what_they_hold(steps: list) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        sent = Sent(Path(folder))
        sent.put(lines(5, 2))
        sent.rig.look()
        sent.rig.settle()
        try:
            for seed, (step, size) in enumerate(steps):
                if step == "put":
                    sent.put(lines(*size, seed=seed))
                elif step == "split":
                    sent.rig.stream.split(sent.rig.open_shards()[0].id)
                elif step == "wait":
                    sent.rig.clock.advance(RETURN_S)
                else:
                    getattr(sent.rig, step)()
                if step == "restart":
                    sent.rig.look()
                    sent.rig.read()
                sent.check()
            sent.rig.settle()
            sent.check()
        finally:
            sent.rig.close()
