"""A view as it stood at a position: exactly the records before it, whatever has become of them since; or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from tailrace.errors import Expired, Invalid, NotFound, Timeout, TooLarge
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.model.position import parse_position, position_json, position_token
from tailrace.model.window import parse_iso
from tailrace.serving.merge import ViewQuery
from tailrace.serving.past import read as module
from tailrace.serving.past.plan import Wanted, plan_shard
from tailrace.states.manifest import Manifest, ViewStates
from tailrace.states.segment import Segment
from tailrace.views import compile_view
from tests.oracle.rig import Rig

SQL = "CREATE VIEW own AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS w, {} AS n FROM logs GROUP BY ALL"
COUNT = SQL.format("count(*)")
DAY_S = 86_400


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, embedded=True)
    (made.views_dir / "own.sql").write_text(COUNT)
    made.settle()
    made.settle()
    yield made
    made.close()


def put(rig: Rig, count: int) -> None:
    """Of both shards; every seventh line is a dead letter."""
    stamps = [f"2026-11-22T10:00:{n % 60:02d}Z" for n in range(count)]
    lines = [json.dumps({"timestamp": t, "endpoint": f"/{n % 9}", "status": 503}) for n, t in enumerate(stamps)]
    rig.put([b"no json" if n % 7 == 6 else line.encode() for n, line in enumerate(lines)])


def ends(rig: Rig) -> dict[str, int]:
    return {shard.id: rig.stream.end(shard.id).next_offset for shard in rig.stream.shards()}


def total(rig: Rig, at: Mapping[str, int]) -> int:
    return sum(row[1] for row in rig.rows_at("own", at)[1])


def source(rig: Rig, at: Mapping[str, int]) -> tuple[int, int, int]:
    """Segments, records of the lake, records of the stream."""
    found = rig.past("own", at).source
    return found.segments, found.recomputed_lake, found.recomputed_stream


def recorded(rig: Rig, rounds: int) -> list[tuple[dict[str, int], list[tuple[object, ...]]]]:
    """Positions and what was answered there; each round is an epoch that batch has taken over."""
    found = []
    for n in range(rounds):
        put(rig, 20 + n)
        found.append((ends(rig), rig.rows("own")[1]))
        rig.settle()
    return found


def test_every_answer_comes_again_after_compaction_and_a_restart(rig: Rig) -> None:
    answers = recorded(rig, 4)
    rig.compact_lake()
    rig.restart()
    rig.look()
    rig.read()
    segments = rig.store.current().views["own"].segments
    assert len(segments) < 8, "some were merged"
    for at, rows in answers:
        assert rig.rows_at("own", at)[1] == rows
    assert rig.past("own", answers[0][0]).source.recomputed_lake, "its segment was merged with later ones"
    last = rig.past("own", answers[-1][0]).source
    assert (last.segments, last.recomputed_lake, last.recomputed_stream) == (len(segments), 0, 0)


def test_a_position_may_lie_anywhere(rig: Rig) -> None:
    """In the stream, the lake and the segments, also within a block and on a dead letter."""
    put(rig, 20)
    shard, end = max(ends(rig).items(), key=lambda item: item[1])
    others = dict.fromkeys(ends(rig), 0)
    kept = [total(rig, {**others, shard: n}) for n in range(end + 1)]
    assert kept[0] == 0
    assert {b - a for a, b in pairwise(kept)} == {0, 1}
    for step in (rig.seal, rig.look, rig.read, rig.consume, rig.cycle, rig.look):
        step()
        for n in (1, end // 2, end):
            assert total(rig, {**others, shard: n}) == kept[n]
    assert source(rig, {**others, shard: end})[1:] == (0, 0)


def test_what_it_is_made_of_moves_from_stream_to_lake_to_states(rig: Rig) -> None:
    put(rig, 21)
    at = ends(rig)
    assert source(rig, at) == (0, 0, 18)
    rig.seal()
    rig.look()
    rig.read()
    rig.consume()
    assert source(rig, at) == (0, 18, 0)
    rig.cycle()
    segments = {s.shard for s in rig.store.current().views["own"].segments if s.records}
    assert source(rig, at) == (len(segments), 0, 0)


def test_only_the_windows_that_are_asked_for_are_read(rig: Rig) -> None:
    put(rig, 60)
    at = ends(rig)
    rig.seal()
    rig.consume()
    query = ViewQuery(from_us=parse_iso("2026-11-22T10:00:20Z"), to_us=parse_iso("2026-11-22T10:00:30Z"))
    found = rig.past("own", at, query)
    assert found.answer.table.num_rows == 1
    assert found.source.recomputed_lake < 20
    late = ViewQuery(from_us=parse_iso("2027-01-01T00:00:00Z"))
    assert rig.past("own", at, late).source == module.Source()


def test_shards_that_came_later_count_with_nothing(rig: Rig) -> None:
    put(rig, 30)
    before, shards = ends(rig), rig.stream.shards()
    rows = rig.rows("own")[1]
    rig.stream.split(shards[0].id)
    put(rig, 30)
    rig.settle()
    for form in (position_token(shards, before), json.dumps(position_json(shards, before))):
        at = parse_position(form, rig.stream.shards())
        assert len(at) == 4
        assert rig.rows_at("own", at)[1] == rows
    assert total(rig, ends(rig)) == 2 * sum(int(str(row[1])) for row in rows)


def test_a_position_that_is_not_reached_says_where_the_shard_stands(rig: Rig) -> None:
    put(rig, 10)
    shard, end = max(ends(rig).items(), key=lambda item: item[1])
    with pytest.raises(Invalid, match=f"not reached yet: shard `{shard}` stands at"):
        total(rig, {shard: end + 1})


def test_a_changed_view_answers_for_its_old_positions_too(rig: Rig) -> None:
    put(rig, 30)
    at, old = ends(rig), rig.store.current().views["own"].version
    rows = rig.rows("own")[1]
    (rig.views_dir / "own.sql").write_text(SQL.format("count(*) FILTER (WHERE status = 200)"))
    rig.settle()
    rig.settle()
    assert rig.store.current().views["own"].version != old
    assert total(rig, at) == 0
    assert rig.past("own", at, version=old).answer.table.num_rows == len(rows)
    rig.clock.advance(DAY_S + 3600)
    rig.settle()
    with pytest.raises(Expired, match=f"version `{old}` of view `own` is gone"):
        rig.past("own", at, version=old)
    (rig.views_dir / "own.sql").unlink()
    rig.settle()
    with pytest.raises(NotFound, match="no view `own`"):
        rig.past("own", at)


def test_without_the_lake_it_is_exact_where_segments_end_and_refused_within(rig: Rig) -> None:
    answers = recorded(rig, 2)
    rig.let_lake_go(99)
    for at, rows in answers:
        assert rig.rows_at("own", at)[1] == rows, "two segments a shard, not merged yet"
        assert not any(source(rig, at)[1:])
    within = {shard: end - 1 for shard, end in answers[0][0].items()}
    with pytest.raises(Expired, match="epochs `1` to `2` of shard"):
        rig.past("own", within)
    answers += recorded(rig, 3)
    assert len(rig.store.current().views["own"].segments) < 6, "merged by now"
    for at, _ in answers[:3]:
        with pytest.raises(Expired, match="record by record"):
            rig.past("own", at)
    assert rig.rows_at("own", answers[-1][0])[1] == answers[-1][1]
    assert total(rig, dict.fromkeys(ends(rig), 0)) == 0
    elsewhere = ViewQuery(from_us=parse_iso("2027-01-01T00:00:00Z"))
    assert rig.past("own", answers[2][0], elsewhere).answer.table.num_rows == 0, "no window of them is asked for"


def test_segments_from_before_offsets_were_kept_serve_as_well(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = recorded(rig, 2)
    found = module._states

    def older(manifest: Manifest, name: str, version: str | None) -> ViewStates:
        states = found(manifest, name, version)
        return structs.replace(states, segments=tuple(structs.replace(s, offsets=None) for s in states.segments))

    monkeypatch.setattr(module, "_states", older)
    for at, rows in answers:
        assert rig.rows_at("own", at)[1] == rows
        assert not any(source(rig, at)[1:])
        within = {shard: end // 2 for shard, end in at.items()}
        assert 0 < total(rig, within) < sum(int(str(row[1])) for row in rows)
    rig.let_lake_go(99)
    assert rig.rows_at("own", answers[1][0])[1] == answers[1][1]
    with pytest.raises(Expired):
        rig.past("own", answers[0][0])


def test_a_view_from_after_the_lake_let_go_does_not_answer_for_before(rig: Rig) -> None:
    answers = recorded(rig, 2)
    rig.let_lake_go(1)
    (rig.views_dir / "young.sql").write_text(COUNT.replace("own", "young"))
    rig.settle()
    rig.settle()
    assert rig.past("young", answers[1][0]).states.absent
    with pytest.raises(Expired, match="let them go"):
        rig.past("young", answers[0][0])


def test_windows_that_states_have_let_go_are_computed_again_while_the_lake_has_them(rig: Rig) -> None:
    put(rig, 60)
    rig.settle()
    view, at = compile_view(COUNT, DEFAULT_FIELDS), ends(rig)
    manifest, lake = rig.store.current(), rig.lake_now()
    cut_us = parse_iso("2026-11-22T10:00:30Z")
    whole = manifest.views["own"]
    states = structs.replace(whole, segments=tuple(_without(s, cut_us) for s in whole.segments))
    shard = max(states.segments, key=lambda s: s.records).shard

    def planned(query: ViewQuery) -> tuple[int, int]:
        part = plan_shard(Wanted(view, query), shard, at[shard], lake, states, lambda file, offset: None)
        return len(part.segments), len(part.files)

    assert planned(ViewQuery()) == (0, 1)
    assert planned(ViewQuery(from_us=cut_us)) == (1, 0)
    rig.let_lake_go(99)
    lake = rig.lake_now()
    assert planned(ViewQuery(from_us=cut_us)) == (1, 0)
    with pytest.raises(Expired, match="before 2026-11-22T10:00:30Z as short as they are asked for"):
        planned(ViewQuery())


def _without(segment: Segment, before_us: int) -> Segment:
    """The segment after windows before then were let go, without coarser ones beside it."""
    return segment.with_levels([structs.replace(segment.levels()[0], kept_from_us=before_us)])


def test_what_takes_too_much_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    put(rig, 30)
    monkeypatch.setattr(module, "ROWS_MAX", 5)
    with pytest.raises(TooLarge, match="`30` records would have to be looked at"):
        rig.past("own", ends(rig))


@pytest.mark.parametrize("timed_out", [True, False])
def test_it_stops_when_it_is_asked_to(rig: Rig, *, timed_out: bool) -> None:
    put(rig, 30)
    with rig.past_views() as past:
        read = past.open()
        read.stop(timed_out=timed_out)
        with pytest.raises(Timeout if timed_out else module.Interrupted):
            read.answer("own", ViewQuery(), ends(rig))
        read.close()
