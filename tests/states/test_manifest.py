"""Compare-and-swap with fencing: one writer wins, an old one is refused, and nothing is half done."""

from pathlib import Path

import msgspec
import pytest

from tailrace.errors import Conflict, Fenced, NotFound
from tailrace.states.manifest import Finding, Manifest, ManifestStore, ViewStates, WantedView
from tailrace.states.segment import Segment

SHARD = "shardId-000000000000"


def segment(name: str, *, first: int = 1, last: int = 1, rows: int = 10) -> Segment:
    return Segment(
        id=name,
        version="v",
        shard=SHARD,
        epoch_first=first,
        epoch_last=last,
        records=rows,
        rows=rows,
        bytes=1,
        window_first_us=0,
        window_last_us=0,
        files={"scalars": f"batch/v/{name}.scalars.parquet"},
    )


@pytest.fixture
def store(tmp_path: Path) -> ManifestStore:
    return ManifestStore(tmp_path / "manifest.db")


def test_swap_goes_from_generation_to_generation(store: ManifestStore, tmp_path: Path) -> None:
    assert store.current() == Manifest()
    token = store.acquire_token()
    views = {"a": ViewStates(name="a", version="v", sql="...", segments=(segment("x"),))}
    first = store.swap(0, Manifest(frontier={SHARD: 3}, views=views), token, now_us=1)
    assert first.generation == 1
    assert store.generation() == 1
    assert ManifestStore(tmp_path / "manifest.db").current() == first
    assert store.live_files(since_us=0) == {"batch/v/x.scalars.parquet"}


def test_a_swap_on_an_old_generation_changes_nothing(store: ManifestStore) -> None:
    token = store.acquire_token()
    first = store.swap(0, Manifest(frontier={SHARD: 1}), token, now_us=1)
    with pytest.raises(Conflict):
        store.swap(0, Manifest(frontier={SHARD: 9}), token, now_us=2)
    assert store.current() == first


def test_a_newer_token_fences_the_older_writer(store: ManifestStore) -> None:
    old = store.acquire_token()
    new = store.acquire_token()
    with pytest.raises(Fenced):
        store.swap(0, Manifest(frontier={SHARD: 9}), old, now_us=1)
    assert store.generation() == 0
    assert store.swap(0, Manifest(frontier={SHARD: 1}), new, now_us=1).generation == 1


def test_files_of_recent_generations_stay_live(store: ManifestStore) -> None:
    token = store.acquire_token()
    manifest = Manifest()
    for n in range(4):
        states = ViewStates(name="a", version="v", sql="", segments=(segment(f"s{n}"),))
        manifest = store.swap(
            manifest.generation, msgspec.structs.replace(manifest, views={"a": states}), token, now_us=n * 100
        )
    assert store.live_files(since_us=100) == {f"batch/v/s{n}.scalars.parquet" for n in (1, 2, 3)}
    assert store.live_files(since_us=10_000) == {f"batch/v/s{n}.scalars.parquet" for n in (2, 3)}


def test_wanted_views_keep_their_readiness_only_while_the_version_stays(store: ManifestStore) -> None:
    store.want([WantedView(name="a", version="1", sql="x"), WantedView(name="b", version="1", sql="y")], now_us=1)
    store.mark_speed_ready("a", "1")
    store.mark_speed_ready("b", "not this version")
    store.want([WantedView(name="a", version="1", sql="x"), WantedView(name="b", version="2", sql="z")], now_us=2)
    assert [(v.name, v.version, v.speed_ready) for v in store.wanted()] == [("a", "1", True), ("b", "2", False)]
    store.want([WantedView(name="a", version="2", sql="x2")], now_us=3)
    assert [(v.name, v.version, v.speed_ready) for v in store.wanted()] == [("a", "2", False)]


def test_findings_add_up_until_acknowledged(store: ManifestStore) -> None:
    finding = Finding(
        view="a",
        version="v",
        shard=SHARD,
        epoch_first=1,
        epoch_last=2,
        differing_rows=3,
        found_us=1,
        sample=[{"x": "1"}],
    )
    store.add_finding(finding)
    store.add_finding(msgspec.structs.replace(finding, differing_rows=4))
    assert store.drift_rows() == {"v": 7}
    assert store.findings()[1] == finding


def test_a_view_is_rolled_back_until_its_file_changes(store: ManifestStore) -> None:
    def view(version: str) -> WantedView:
        return WantedView(name="a", version=version, sql=f"SQL {version}")

    def wanted() -> tuple[str, bool]:
        (found,) = store.wanted()
        assert found.sql == f"SQL {found.version}"
        return found.version, found.speed_ready

    store.want([view("new")], now_us=1)
    with pytest.raises(NotFound):
        store.roll_back("a", now_us=2)
    before = {"a": ViewStates(name="a", version="old", sql="SQL old")}
    store.swap(0, Manifest(previous=before), store.acquire_token(), now_us=3)
    assert store.roll_back("a", now_us=4).version == "old"
    assert wanted() == ("old", True)
    store.want([view("new")], now_us=5)
    assert wanted() == ("old", True)
    assert store.rolled_back() == {"a": "new"}
    store.want([view("newer")], now_us=6)
    assert wanted() == ("newer", False)
    assert store.rolled_back() == {}


def test_rolled_back_twice_is_as_before(store: ManifestStore) -> None:
    token = store.acquire_token()
    store.want([WantedView(name="a", version="new", sql="n")], now_us=1)
    for expected, previous in enumerate(("old", "new", "old")):
        states = ViewStates(name="a", version=previous, sql=previous[0])
        store.swap(expected, Manifest(previous={"a": states}), token, now_us=2)
        assert store.roll_back("a", now_us=3).version == previous
        assert [view.version for view in store.wanted()] == [previous]
        assert store.rolled_back() == ({"a": "new"} if previous == "old" else {})


def test_a_rebuild_settles_the_findings_of_its_version(store: ManifestStore) -> None:
    for version in ("v1", "v2"):
        store.add_finding(
            Finding(view="a", version=version, shard=SHARD, epoch_first=1, epoch_last=1, differing_rows=3, found_us=1)
        )
    store.ask_rebuild("a", now_us=5)
    asked = store.rebuilds()["a"]
    store.ask_rebuild("a", now_us=6)
    store.rebuilt("a", asked, "v1", now_us=7)
    assert store.drift_rows() == {"v2": 3}
    assert store.rebuilds() == {"a": 6}, "one that was asked for meanwhile is still to be done"
