"""The manifest of a run: what is known of each post at any moment, also after a process was killed in the middle of a line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Corrupt, Invalid
from tailrace.producers.feed import Post
from tailrace.producers.manifest import FORMAT, Begin, ManifestWriter, read_manifest
from tailrace.producers.profile.read import shipped_profile
from tailrace.producers.scenarios.timeline import Change, Timeline, events_of
from tailrace.producers.sinks.base import Acked
from tailrace.producers.spec import RunSpec
from tailrace.producers.traffic import Times
from tailrace.producers.truth import PostTruth
from tailrace.producers.verification.expected import Key, Sums, expect, stretches

SHOP = shipped_profile()
STATUSES = [200, 500]


def begin(run: str = "0a1b2c3d", ledger: dict[str, int] | None = None) -> Begin:
    timeline = Timeline((Change(0, 100.0),), events_of("late", 60, SHOP))
    spec = RunSpec(
        run=run, seed=1, target="http://x:1", profile=SHOP, timeline=timeline, times=Times(0, 0), slots=600
    )  # fmt: skip
    return Begin(FORMAT, "0", "2026-11-23T00:00:00Z", spec, STATUSES, ledger)


def truth(lines: int, *cells: tuple[int, int, int, int], dead: int = 0) -> PostTruth:
    return PostTruth(lines, {"malformed": dead} if dead else {}, cells)


def sent(n: int, lines: int, dead: int = 0, *, again: bool = False) -> Post:
    return Post(b"", lines, 0, n, again=again, dead=dead)


@pytest.fixture
def writer(tmp_path: Path) -> ManifestWriter:
    writing = ManifestWriter(tmp_path / "m.ndjson", fresh=True)
    writing.write(begin())
    return writing


def test_a_post_is_acknowledged_known_not_to_be_stored_or_in_doubt(writer: ManifestWriter, tmp_path: Path) -> None:
    for n in range(6):
        writer.begun(n, truth(10, (1, 0, 9, 900), dead=1))
    writer.acked(sent(0, 10, 1), 0, Acked(9, 1, 0))
    writer.unsent(1)
    writer.refused(sent(2, 10), 2, "400: no")
    writer.left_open(sent(3, 10), 3, "no answer")
    writer.acked(sent(4, 10, 1), 4, Acked(0, 0, 10))
    writer.acked(sent(4, 10, 1, again=True), 4, Acked(0, 0, 10))
    writer.close()
    found = read_manifest(tmp_path / "m.ndjson")
    assert sorted(found.acked) == [0, 4]
    assert (found.unsent, found.refused, found.in_doubt) == ({1}, {2: "400: no"}, [3, 5])
    must = expect([found])
    assert (must.lines, must.records, must.dead["malformed"], must.deduplicated, must.again) == (20, 18, 2, 20, 10)
    assert must.cells == {Key(1, "auth", "/login", 200): Sums(18, 1800)}
    assert sorted(must.doubtful) == ["0a1b2c3d000000000003", "0a1b2c3d000000000005"]
    assert (must.unsent, must.refused, len(must.complaints)) == (10, 10, 1)


def test_an_answer_with_other_dead_letters_than_were_made_is_a_complaint(
    writer: ManifestWriter, tmp_path: Path
) -> None:
    writer.begun(0, truth(10, (1, 0, 9, 900), dead=1))
    writer.acked(sent(0, 10, 1), 0, Acked(8, 2, 0))
    writer.close()
    assert "2 dead letters were answered, must be 1" in expect([read_manifest(tmp_path / "m.ndjson")]).complaints[0]


@given(cut=st.integers(0, 400), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_process_killed_in_the_middle_of_a_line_spoils_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int, data: st.DataObject
) -> None:
    """One process's line is cut anywhere; others go on behind it."""
    path = tmp_path_factory.mktemp("cut") / "m.ndjson"
    one = ManifestWriter(path, fresh=True)
    one.write(begin())
    for n in range(3):
        one.begun(n, truth(10, (1, n, 10, 1000)))
        one.acked(sent(n, 10), n, Acked(10))
    whole = path.read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(1, len(whole) - 1))
    torn = whole[place][: min(cut, len(whole[place]) - 1)]
    path.write_bytes(b"".join(whole[:place]) + torn)
    other = ManifestWriter(path)
    other.begun(7, truth(5, (1, 0, 5, 50)))
    other.acked(sent(7, 5), 7, Acked(5))
    other.close()
    one.close()
    found = read_manifest(path)
    assert 7 in found.acked
    assert sorted(found.acked.keys() - {7}) == list(range((place - 1) // 2))
    assert all(n in found.posts for n in found.acked)


def test_a_post_that_a_successor_sends_anew_is_counted_once(writer: ManifestWriter, tmp_path: Path) -> None:
    writer.begun(0, truth(10, (1, 0, 10, 1000)))
    writer.unsent(0)
    writer.begun(0, truth(10, (1, 0, 10, 1000)))
    writer.acked(sent(0, 10), 0, Acked(4, 0, 6))
    writer.close()
    found = expect([read_manifest(tmp_path / "m.ndjson")])
    assert (found.lines, found.cells) == (10, {Key(1, "auth", "/login", 200): Sums(10, 1000)})


def test_manifests_of_many_machines_add_up_and_one_given_twice_is_an_error(tmp_path: Path) -> None:
    for name in ("0000000a", "0000000b"):
        one = ManifestWriter(tmp_path / name, fresh=True)
        one.write(begin(name, {"received": 5 if name.endswith("b") else 9}))
        one.begun(0, truth(10, (1, 0, 10, 1000), (2, 3, 1, 7)))
        one.acked(sent(0, 10), 0, Acked(10))
        one.close()
    read = [read_manifest(tmp_path / name) for name in ("0000000a", "0000000b")]
    both = expect(read)
    assert both.cells == {Key(1, "auth", "/login", 200): Sums(20, 2000), Key(2, "web", "/home", 500): Sums(2, 14)}
    assert both.ledger == {"received": 5}
    with pytest.raises(Invalid, match="given twice"):
        expect([read[0], read[0]])


def test_what_is_no_manifest_and_what_is_damaged_are_told_apart(tmp_path: Path, writer: ManifestWriter) -> None:
    (tmp_path / "log").write_text('{"timestamp": 1}\n')
    with pytest.raises(Invalid, match="no manifest"):
        read_manifest(tmp_path / "log")
    with pytest.raises(Invalid, match="cannot be read"):
        read_manifest(tmp_path / "nothing")
    writer.begun(0, truth(1, (1, 0, 1, 1)))
    writer.close()
    path = tmp_path / "m.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"lines":1', b'"lines":x'))
    with pytest.raises(Corrupt, match="line 2"):
        read_manifest(path)
    with pytest.raises(Invalid, match="there already"):
        ManifestWriter(path, fresh=True)


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=60), st.integers(1, 50))
def test_stretches_hold_all_windows_once_and_no_wide_gap(windows: list[int], most: int) -> None:
    cells = {Key(window, "s", "/e", 200): Sums(3, 0) for window in windows}
    found = stretches(windows, cells, most)
    held = [window for first, end in found for window in range(first, end) if window in set(windows)]
    assert held == sorted(set(windows))
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    assert all(len([w for w in set(windows) if first <= w < end]) * 3 <= max(most, 3) for first, end in found)


def test_an_answer_that_names_no_dead_letters_is_not_held_against_them(tmp_path: Path) -> None:
    writing = ManifestWriter(tmp_path / "m.ndjson", fresh=True)
    plan = begin()
    writing.write(msgspec.structs.replace(plan, spec=msgspec.structs.replace(plan.spec, target="kinesis://logs")))
    writing.begun(0, truth(10, (1, 0, 8, 800), dead=2))
    writing.acked(sent(0, 10, 2), 0, Acked(10))
    writing.begun(1, truth(10, (1, 0, 9, 800), dead=1))
    writing.acked(sent(1, 10, 1), 1, Acked(10, 0))
    writing.close()
    found = expect([read_manifest(tmp_path / "m.ndjson")])
    assert (found.dead.total(), found.untold) == (3, 3)
    assert found.complaints == ["post 1 of run 0a1b2c3d: 0 dead letters were answered, must be 1"]
