"""The real parts against the model, under random interleavings of everything that may happen; equal after every step.

Each example is one life of a data folder: posts, retries, late, future and unreadable lines, seals, reads, lake runs, handovers,
compaction, days after which the stream lets go, view files that come, change and go, restarts, and deaths between any two durable writes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailrace.errors import NotFound, ShardClosed
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.serving.dead_letters import DeadLetters
from tailrace.serving.ledger import booked
from tailrace.serving.merge import ViewQuery
from tailrace.states.manifest import Book
from tailrace.stream.base import LedgerCounts, ProducerStamp, Resharded
from tailrace.views import compile_view
from tests.oracle.faults import Faults, Killed, installed
from tests.oracle.lines import Record, parse_json
from tests.oracle.model import (
    ENDPOINT,
    REQUESTS,
    RESPONSE_P99,
    SECOND_US,
    SHIPPED,
    SPREAD,
    SPREAD_SQL,
    VISITORS,
    View,
    expected_rows,
)
from tests.oracle.rig import Rig

pytestmark = pytest.mark.slow

NOW_MS = 1_795_341_600_000
DAY_MS = 86_400_000
OPEN_SHARDS = 5

OWN_SQL = {
    "plain": """CREATE VIEW own AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, endpoint,
        count(*) AS requests FROM logs GROUP BY ALL""",
    "slow": """CREATE VIEW own AS SELECT time_bucket(INTERVAL '30 seconds', timestamp) AS window_start, endpoint,
        count(*) AS requests, quantile(response_ms, 0.99) AS response_ms_p99, approx_count_distinct(ip) AS visitors
        FROM logs WHERE response_ms > 100 GROUP BY ALL""",
    "spread": SPREAD_SQL.replace("VIEW spread", "VIEW own"),
}
OWN = {
    "plain": View("own", 10 * SECOND_US, (ENDPOINT,), (REQUESTS,)),
    "slow": View(
        "own",
        30 * SECOND_US,
        (ENDPOINT,),
        (REQUESTS, RESPONSE_P99, VISITORS),
        where=lambda record: record.response is not None and record.response > 100_000,
    ),
    "spread": replace(SPREAD, name="own"),
}
PAST: list[dict[str, int]] = [
    {},
    {"from_us": NOW_MS * 1000 - 20 * SECOND_US},
    {"from_us": NOW_MS * 1000 - 3 * DAY_MS * 1000 - 15 * SECOND_US, "to_us": NOW_MS * 1000 - 10 * SECOND_US},
    {"step_us": 60 * SECOND_US, "to_us": NOW_MS * 1000},
]
"""What is asked when somebody looks back: all of it, and pruned."""
OWN_VERSIONS = {compile_view(sql, DEFAULT_FIELDS).version: OWN[kind] for kind, sql in OWN_SQL.items()}

ages_ms = st.one_of(
    st.integers(0, 30_000),
    st.integers(0, 30_000).map(lambda age: age + 3 * DAY_MS),
    st.integers(0, 30_000).map(lambda age: age - 400 * DAY_MS),
)
records = st.builds(
    lambda age, endpoint, service, status, response, address: {
        "timestamp": NOW_MS - age,
        "endpoint": endpoint,
        "service": service,
        "status": status,
        "response_ms": response,
        "ip": address,
    },
    ages_ms,
    st.sampled_from(["/a", "/b", "/ü?q=1", None]),
    st.sampled_from(["shop", None]),
    st.sampled_from([200, 404, 503, None]),
    st.one_of(st.none(), st.integers(0, 2_000_000).map(lambda units: units / 1000)),
    st.one_of(st.none(), st.integers(0, 400).map(lambda n: f"10.0.{n % 2}.{n // 2}"), st.just("2001:db8::7")),
).map(lambda record: json.dumps(record, ensure_ascii=False).encode())
dead_letters = st.sampled_from([b"not json", b'{"endpoint":"/a"}', b"[1]", b'{"timestamp":"soon"}'])
posts = st.lists(st.one_of(records, records, records, dead_letters), min_size=1, max_size=12)


class Life(RuleBasedStateMachine):
    """`stored`: what is in the stream, in the model's mind: (shard, offset) -> record, or None for a dead letter.

    An answer states its position. It must be of exactly the records before that position.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="tailrace-life-"))
        self._installed = installed()
        self.faults: Faults = self._installed.__enter__()
        self.rig: Rig
        self.stored: dict[tuple[str, int], Record | None] = {}
        self.deduplicated = self.posted = 0
        self.sent: list[tuple[ProducerStamp, list[bytes]]] = []
        self.positions: list[dict[str, int]] = []

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.close()
        self._installed.__exit__(None, None, None)
        shutil.rmtree(self._folder)

    @initialize(before=posts, embedded=st.booleans())
    def first_light(self, before: list[bytes], *, embedded: bool) -> None:
        """Some lines are there before any view is."""
        self.rig = Rig(self._folder, embedded=embedded)
        self.put(before)
        self.node_looks()
        self.node_reads()
        self.batch_hands_over()
        self.node_looks()

    # -- producers -----------------------------------------------------------------------------------------------

    @rule(lines=posts)
    def put(self, lines: list[bytes]) -> None:
        self.posted += 1
        stamp = ProducerStamp("model", 1, self.posted)
        self.sent.append((stamp, lines))
        places = [place for put in self.rig.put(lines, stamp) for place in put.places()]
        assert sorted(line for _, _, line in places) == list(range(len(lines)))
        for shard, offset, line in places:
            self.stored[shard, offset] = parse_json(lines[line])

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if not self.sent:
            return
        stamp, lines = data.draw(st.sampled_from(self.sent))
        results = [put.appended for put in self.rig.put(lines, stamp)]
        assert sum(result.deduplicated for result in results) == len(lines)
        assert sum(result.stored + result.dead_lettered for result in results) == 0
        self.deduplicated += len(lines)

    @rule()
    def time_passes(self) -> None:
        self.rig.clock.advance(7)

    @rule()
    def a_day_passes(self) -> None:
        """The stream lets go of what batch has covered, and of the stamps of its posts; dead letters are kept beside it."""
        self.rig.clock.advance(DAY_MS // 1000 + 3600)
        self.rig.settle()
        self.rig.keep_house()
        self.sent.clear()

    @rule(seconds=st.sampled_from([-3600, 3600]))
    def the_clock_steps(self, seconds: int) -> None:
        self.rig.clock.step(seconds)

    # -- shards --------------------------------------------------------------------------------------------------

    @rule(moment=st.none() | st.integers(1, 10), at=st.integers(0, 99))
    def a_shard_is_split(self, moment: int | None, at: int) -> None:
        """Whole, or until the process dies between two of its writes; then whoever comes next does the rest."""
        shards = self.rig.open_shards()
        if len(shards) < OPEN_SHARDS:
            shard = shards[at % len(shards)]
            self._reshard(moment, lambda: self.rig.stream.split(shard.id))

    @rule(moment=st.none() | st.integers(1, 10), at=st.integers(0, 99))
    def shards_are_merged(self, moment: int | None, at: int) -> None:
        shards = self.rig.open_shards()
        if len(shards) > 1:
            low, high = shards[at % (len(shards) - 1) :][:2]
            self._reshard(moment, lambda: self.rig.stream.merge(high.id, low.id))

    def _reshard(self, moment: int | None, work: Callable[[], Resharded]) -> None:
        """A shard may be found closed: a split or merge that a dead process had begun is finished first."""
        try:
            if moment is None:
                work()
            else:
                self._dies(moment, work)
        except ShardClosed:
            assert self.faults.died

    # -- the node ------------------------------------------------------------------------------------------------

    @rule()
    def seal(self) -> None:
        self.rig.seal()

    @rule()
    def node_reads(self) -> None:
        self.rig.read()

    @rule()
    def people_look(self) -> None:
        """An answer holds all that was acknowledged before it was asked for."""
        if self.rig.follower.pinned is None:
            return
        for name, compiled in self.rig.pinned.views.items():
            if compiled.version in self.rig.pinned.speed.versions:
                pinned = self.rig.follower.fresh(name)
                ends = {shard.id: self.rig.stream.end(shard.id).next_offset for shard in self.rig.stream.shards()}
                assert pinned.speed.of(compiled.version).next_offsets == ends
        self.positions.append({s.id: self.rig.stream.end(s.id).next_offset for s in self.rig.stream.shards()})

    @rule(data=st.data(), query=st.sampled_from(PAST))
    def somebody_looks_back(self, data: st.DataObject, query: dict[str, int]) -> None:
        """At a position that was given out, or anywhere before: also within a block, and whatever batch has merged since."""
        if not self.positions:
            return
        ends = data.draw(st.sampled_from(self.positions))
        if data.draw(st.booleans()):
            ends = {shard: data.draw(st.integers(0, end)) for shard, end in ends.items()}
        if views := sorted(self.rig.store.current().views):
            self.looks_back(data.draw(st.sampled_from(views)), ends, query)

    def looks_back(self, name: str, ends: Mapping[str, int], query: Mapping[str, int]) -> None:
        shipped = {view.name: view for view in SHIPPED}
        model = shipped.get(name) or OWN_VERSIONS[self.rig.store.current().views[name].version]
        asked = {key: us for key, us in query.items() if key != "step_us" or us % model.window_us == 0}
        columns, rows = self.rig.rows_at(name, ends, ViewQuery(**asked))
        assert columns == model.columns
        assert rows == expected_rows(model, self._before(ends), **asked), (name, ends, asked)

    @rule()
    def node_looks(self) -> None:
        self.rig.look()

    @rule()
    def node_restarts(self) -> None:
        self.rig.start_node()

    @rule()
    def everything_restarts(self) -> None:
        self.rig.restart()

    @rule(moment=st.integers(1, 12))
    def node_dies(self, moment: int) -> None:
        """While it looks, reads and writes its segments."""

        def work() -> None:
            self.rig.look()
            self.rig.read()

        if self._dies(moment, work):
            self.node_restarts()

    # -- batch ---------------------------------------------------------------------------------------------------

    @rule()
    def batch_consumes(self) -> None:
        self.rig.consume()

    @rule()
    def batch_compacts_the_lake(self) -> None:
        self.rig.compact_lake()

    @rule()
    def batch_hands_over(self) -> None:
        report = self.rig.cycle()
        assert report.drift_rows == 0

    @rule()
    def batch_restarts(self) -> None:
        self.rig.start_batch()

    @rule(moment=st.integers(1, 40))
    def batch_dies(self, moment: int) -> None:
        """Between two writes of a whole cycle: lake files, lake commits, segments, compactions, swap."""

        def work() -> None:
            self.rig.consume()
            self.rig.compact_lake()
            self.rig.cycle()

        if self._dies(moment, work):
            self.rig.start_batch()

    @rule()
    def a_whole_turn(self) -> None:
        """What the processes do by themselves within seconds."""
        self.rig.settle()
        self.people_look()
        assert self.rig.pinned.speed.versions.keys() >= {view.version for view in self.rig.pinned.views.values()}

    # -- people --------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from([*OWN_SQL, None]))
    def the_view_file_changes(self, kind: str | None) -> None:
        path = self.rig.views_dir / "own.sql"
        if kind is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(OWN_SQL[kind])

    @rule()
    def somebody_goes_back_to_the_version_before(self) -> None:
        try:
            self.rig.store.roll_back("own", self.rig.clock.now_us())
        except NotFound:
            assert "own" not in self.rig.store.current().previous or not self._wants_own()

    @rule(name=st.sampled_from(["own", "endpoint_health"]))
    def somebody_has_a_view_built_anew(self, name: str) -> None:
        self.rig.store.ask_rebuild(name, self.rig.clock.now_us())

    def _wants_own(self) -> bool:
        return any(view.name == "own" for view in self.rig.store.wanted())

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def views_equal_the_model(self) -> None:
        if self.rig.follower.pinned is None:
            return
        pinned = self.rig.pinned
        shipped = {view.name: view for view in SHIPPED}
        for name, compiled in pinned.views.items():
            model = shipped.get(name) or OWN_VERSIONS[compiled.version]
            if compiled.version in pinned.speed.versions:
                columns, rows = self.rig.rows(name, fresh=False)
                assert columns == model.columns
                assert rows == expected_rows(model, self._before(pinned.speed.of(compiled.version).next_offsets)), name

    @invariant()
    def nothing_is_lost_and_the_layers_agree(self) -> None:
        self.rig.check()
        books, total = self.rig.store.current().books, LedgerCounts()
        for shard in self.rig.stream.shards():
            book = books.get(shard.id, Book())
            total += booked(book) + self.rig.stream.end(shard.id).open_counts
            total = sum((seal.counts for seal in self.rig.stream.seals(shard.id, book.epoch)), total)
        dead = list(self.stored.values()).count(None)
        assert DeadLetters(self.rig.stream, self.rig.letters).total() == dead
        assert (total.stored, total.dead_lettered) == (len(self.stored) - dead, dead)
        assert total.deduplicated == self.deduplicated

    def _before(self, position: Mapping[str, int]) -> list[Record]:
        found = (record for (shard, offset), record in self.stored.items() if offset < position.get(shard, 0))
        return [record for record in found if record is not None]

    def _dies(self, moment: int, work: Callable[[], Any]) -> bool:
        try:
            with self.faults.dying_at(moment):
                work()
        except Killed:
            return True
        return False


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_a_whole_life_in_one_order(tmp_path: Path) -> None:
    """Not random: every kind of step once, so that a fault in the machine itself cannot pass for success."""
    life = Life()
    try:
        lines = [line for post in _fixed_posts() for line in post]
        life.first_light(lines[:9], embedded=True)
        steps: list[Callable[[], Any]] = [
            lambda: life.put(lines[9:15]),
            lambda: life.a_shard_is_split(None, 0),
            lambda: life.put(lines[15:20]),
            life.people_look,
            life.seal,
            lambda: life.the_view_file_changes("plain"),
            life.a_whole_turn,
            lambda: life.node_dies(3),
            life.a_whole_turn,
            lambda: life.put(lines[20:25]),
            lambda: life.a_shard_is_split(5, 0),
            lambda: life.put(lines[25:28]),
            lambda: life.shards_are_merged(None, 1),
            lambda: life.put(lines[28:30]),
            lambda: life.batch_dies(5),
            life.a_whole_turn,
            lambda: life.the_view_file_changes("slow"),
            life.a_whole_turn,
            life.somebody_goes_back_to_the_version_before,
            life.a_whole_turn,
            lambda: life.put(lines[:3]),
            life.somebody_goes_back_to_the_version_before,
            lambda: life.somebody_has_a_view_built_anew("own"),
            life.a_whole_turn,
            life.everything_restarts,
            life.a_whole_turn,
            lambda: life.put([*lines[:4], b"not json"]),
            life.a_day_passes,
            lambda: life.put(lines[4:8]),
            life.a_day_passes,
            life.everything_restarts,
            life.a_whole_turn,
        ]
        for step in steps:
            step()
            life.views_equal_the_model()
            life.nothing_is_lost_and_the_layers_agree()
        for n, ends in enumerate(life.positions):
            for name in ("own", SHIPPED[n % len(SHIPPED)].name):
                life.looks_back(name, ends, PAST[n % len(PAST)])
        assert len(life.positions) > 6
        pinned = life.rig.pinned
        assert set(pinned.views) == {"own", *(view.name for view in SHIPPED)}
        assert OWN_VERSIONS[pinned.views["own"].version] is OWN["slow"]
        assert life.faults.passed > 40
        assert any(life.rig.stream.end(s.id).earliest_offset > 0 for s in life.rig.stream.shards() if not s.closed), (
            "trimmed"
        )
        assert max(life.rig.frontier().values()) > 1
        assert len(life.rig.stream.shards()) == 2 + 2 + 2 + 1
    finally:
        life.teardown()


def _fixed_posts() -> list[list[bytes]]:
    template = {"timestamp": NOW_MS, "endpoint": "/a", "status": 200, "response_ms": 150.5, "ip": "10.0.0.1"}
    return [[json.dumps({**template, "timestamp": NOW_MS + 3000 * n, "ip": f"10.0.0.{n}"}).encode()] for n in range(30)]
