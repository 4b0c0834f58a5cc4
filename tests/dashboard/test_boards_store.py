"""Dashboards on disk: own over shipped, broken files left alone, conflicts, versions, and a save that is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tailrace.dashboard.boards import history as history_module
from tailrace.dashboard.boards import store as store_module
from tailrace.dashboard.boards.annotations import Annotation, AnnotationAsked, Annotations, annotation_of
from tailrace.dashboard.boards.database import Database
from tailrace.dashboard.boards.history import History
from tailrace.dashboard.boards.model import Dashboard
from tailrace.dashboard.boards.read import dashboard_of, read_dashboard, written
from tailrace.dashboard.boards.store import Changed, DashboardStore
from tailrace.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from tailrace.runtime.clock import ManualClock

SHIPPED = "service-health"


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "dashboards"
        self.clock = ManualClock()
        self.database = Database(folder / "dashboards.db")
        self.history = History(self.database)
        self.store = DashboardStore(self.folder, self.history, self.clock)

    def own(self) -> list[str]:
        return [kept.uid for kept in self.store.all() if kept.source == "own"]

    def titles(self, uid: str) -> list[str]:
        """Of the versions that were kept, newest first."""
        found = (self.history.version(uid, each.n)[1] for each in self.history.versions(uid))
        return [read_dashboard(content).title for content in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def board(uid: str = "mine", title: str = "Mine") -> Dashboard:
    return dashboard_of({"uid": uid, "title": title, "panels": []})


def test_a_save_is_a_file_that_another_store_reads(place: Place, tmp_path: Path) -> None:
    saved = place.store.save(board())
    assert (place.folder / "mine.json").read_bytes() == written(board()) == saved.content
    assert (saved.source, saved.dashboard, saved.changed_at is None) == ("own", board(), False)
    assert Place(tmp_path).store.one("mine") == saved


def test_a_file_that_is_put_there_changed_or_removed_is_seen_at_once(place: Place) -> None:
    assert place.own() == []
    place.folder.mkdir()
    (place.folder / "mine.json").write_text('{"uid":"mine","title":"By hand","panels":[]}')
    assert place.store.one("mine").dashboard == board(title="By hand")
    (place.folder / "mine.json").write_text('{"uid":"mine","title":"Again, by hand","panels":[]}')
    assert place.store.one("mine").dashboard == board(title="Again, by hand")
    (place.folder / "mine.json").unlink()
    with pytest.raises(NotFound):
        place.store.one("mine")


def test_an_own_copy_wins_over_the_shipped_one_until_it_is_removed(place: Place) -> None:
    before = place.store.one(SHIPPED)
    assert (before.source, before.changed_at) == ("shipped", None)
    place.store.save(board(SHIPPED, "Ours"), expected=before.revision)
    assert (place.store.one(SHIPPED).source, len(place.store.all())) == ("own", 1)
    assert place.store.remove(SHIPPED) == before
    assert place.store.one(SHIPPED) == before
    assert place.titles(SHIPPED) == ["Ours", "Service health"], "nothing that was saved is lost"
    with pytest.raises(Conflict, match="comes with Tailrace"):
        place.store.remove(SHIPPED)


BROKEN = {
    "no-json": "{",
    "no-dashboard": '{"uid":"no-dashboard"}',
    "other-name": '{"uid":"mine","title":"x","panels":[]}',
    "Upper": '{"uid":"Upper","title":"x","panels":[]}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_of_hides_no_other_and_is_left_alone(place: Place, name: str) -> None:
    place.store.save(board())
    path = place.folder / f"{name}.json"
    path.write_text(BROKEN[name])
    (listed,) = [kept for kept in place.store.all() if kept.uid == name]
    assert listed.error
    assert listed.error.hint
    assert place.store.one("mine").dashboard == board()
    with pytest.raises(Corrupt, match=name):
        place.store.one(name)
    with pytest.raises(Conflict, match="left as it is"):
        place.store.remove(name)
    if name.islower():
        with pytest.raises(Conflict, match="left as it is"):
            place.store.save(board(name))
    assert path.read_text() == BROKEN[name]


def test_what_is_no_regular_file_is_not_waited_for(place: Place) -> None:
    place.folder.mkdir()
    os.mkfifo(place.folder / "pipe.json")
    (place.folder / "folder.json").mkdir()
    (place.folder / ".mine.json.17.tmp").write_text("half")
    (place.folder / "notes.txt").write_text("x")
    assert place.own() == []


def test_who_has_not_seen_the_newest_is_refused(place: Place) -> None:
    first = place.store.save(board(), new=True)
    second = place.store.save(board(title="Second"), expected=first.revision)
    with pytest.raises(Changed) as found:
        place.store.save(board(title="Third"), expected=first.revision)
    assert found.value.revision == second.revision
    assert found.value.as_json()["error"]["revision"] == second.revision
    with pytest.raises(Changed):
        place.store.save(board(title="Third"), new=True)
    with pytest.raises(Changed):
        place.store.remove("mine", expected=first.revision)
    assert place.store.one("mine") == second
    (place.folder / "mine.json").write_text('{"uid":"mine","title":"By hand","panels":[]}')
    with pytest.raises(Changed):
        place.store.save(board(title="Third"), expected=second.revision)
    place.store.remove("mine")
    with pytest.raises(Changed, match="not there any more"):
        place.store.save(board(title="Third"), expected=second.revision)


def test_of_many_who_have_seen_the_same_one_is_first(place: Place) -> None:
    seen = place.store.save(board()).revision
    done: list[str] = []

    def save(n: int) -> None:
        try:
            done.append(place.store.save(board(title=f"By {n}"), expected=seen).revision)
        except Changed:
            return

    threads = [threading.Thread(target=save, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [place.store.one("mine").revision]


def test_each_save_keeps_what_it_replaces(place: Place) -> None:
    for n in range(4):
        place.store.save(board(title=f"T{n}"), author="ann")
        place.clock.advance(1)
    assert place.titles("mine") == ["T2", "T1", "T0"]
    assert [each.author for each in place.history.versions("mine")] == ["ann"] * 3
    place.store.save(board(title="T3"))
    assert len(place.titles("mine")) == 3, "the same content is no new version"
    restored = read_dashboard(place.history.version("mine", 1)[1])
    assert place.store.save(restored).dashboard == board(title="T0")
    with pytest.raises(NotFound):
        place.history.version("mine", 99)


def test_saves_that_nobody_asked_for_fold_into_one_within_a_minute(place: Place) -> None:
    place.store.save(board(title="Asked"), author="ann")
    for n in range(5):
        place.clock.advance(10)
        place.store.save(board(title=f"A{n}"), author="ann", auto=True)
    assert place.titles("mine") == ["Asked"]
    place.clock.advance(1)
    place.store.save(board(title="Bob's"), author="bob", auto=True)
    assert place.titles("mine") == ["A4", "Asked"], "another author's work is kept"
    place.clock.advance(61)
    place.store.save(board(title="Later"), author="bob", auto=True)
    place.store.save(board(title="Saved"), author="bob")
    assert place.titles("mine") == ["Later", "Bob's", "A4", "Asked"]


def test_what_was_changed_by_hand_between_two_autosaves_is_kept(place: Place) -> None:
    place.store.save(board(title="A"), auto=True)
    (place.folder / "mine.json").write_text('{"uid":"mine","title":"By hand","panels":[]}')
    place.store.save(board(title="B"), auto=True)
    assert place.titles("mine") == ["By hand"]


def test_the_oldest_versions_go_and_numbers_never_come_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "VERSIONS_MAX", 3)
    for n in range(6):
        place.store.save(board(title=f"T{n}"))
    assert place.titles("mine") == ["T4", "T3", "T2"]
    assert [each.n for each in place.history.versions("mine")] == [5, 4, 3]


def test_a_version_that_is_damaged_is_not_shown(place: Place) -> None:
    place.store.save(board(title="A"))
    place.store.save(board(title="B"))
    with place.database.connection() as connection:
        connection.execute("UPDATE versions SET content = x'00'")
    with pytest.raises(Corrupt, match="does not read"):
        place.history.version("mine", 1)


def test_there_is_an_end_to_how_many_there_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "OWN_MAX", 2)
    place.store.save(board("a"))
    place.store.save(board("b"))
    with pytest.raises(Conflict, match="as many as can be"):
        place.store.save(board("c"))
    place.store.save(board("b", "changed"))


def test_a_disk_that_does_not_take_it_leaves_what_was_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.store.save(board())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomic", full)
        for _ in range(3):
            with pytest.raises(Unavailable, match="No space left"):
                place.store.save(board(title="New"))
    assert place.store.one("mine") == before
    place.store.save(board(title="New"))
    assert place.titles("mine") == ["Mine"], "the content that stayed is kept once"


SAVING = """
import sys
from pathlib import Path
from tests.dashboard.test_boards_store import Place, board
place, n = Place(Path(sys.argv[1])), int(sys.argv[2])
while True:
    n += 1
    place.store.save(board(title=f"{n} " + "x" * 150))
    print(n, flush=True)
"""


@pytest.mark.kill
def test_a_process_that_is_killed_while_it_saves_loses_nothing_that_it_said(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    told = 0
    for wait_for in (1, 7, 30):
        command = [sys.executable, "-c", SAVING, str(tmp_path), str(told)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
            assert process.stdout is not None
            for _ in range(wait_for):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            told = max([told, *map(int, process.stdout.read().split())])
        place = Place(tmp_path)
        found = place.store.one("mine").dashboard
        assert found is not None
        number = int(found.title.split()[0])
        assert told <= number <= told + 1
        kept = [int(title.split()[0]) for title in place.titles("mine")]
        assert set(kept) >= set(range(max(1, number - 50), number)), "each that was replaced is a version"
        told = number


# -- annotations -----------------------------------------------------------------------------------------------------------


def told(place: Place, text: str, at: str, until: str | None = None) -> Annotation:
    asked = AnnotationAsked(text=text, at=at, until=until)
    return annotation_of(asked, place.clock.now_us(), f"id-{text}")


def test_annotations_come_back_by_time_after_a_restart(place: Place, tmp_path: Path) -> None:
    one = told(place, "b", "2026-01-01T00:02:00Z")
    two = told(place, "a", "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z")
    for each in (one, two):
        Annotations(place.database).add(each)
    again = Annotations(Database(tmp_path / "dashboards.db"))
    assert again.between(None, None) == ([two, one], False)
    assert again.between(None, None, limit=1) == ([one], True)
    assert again.between(two.at_us + 1, one.at_us) == ([two], False), "it lasts into the time that is asked for"
    assert again.between(two.until_us + 1, None) == ([], False)
    again.remove("id-a")
    assert again.between(None, None) == ([one], False)
    with pytest.raises(NotFound):
        again.remove("id-a")


def test_the_annotation_that_was_told_first_goes_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.dashboard.boards.annotations.KEPT_MAX", 2)
    kept = Annotations(place.database)
    for n, at in enumerate(("2026-01-03", "2026-01-02", "2026-01-01")):
        kept.add(told(place, str(n), at))
    assert [each.text for each in kept.between(None, None)[0]] == ["2", "1"]


def test_an_annotation_does_not_end_before_it_begins(place: Place) -> None:
    with pytest.raises(Invalid, match="before"):
        told(place, "x", "now", "now-1s")
