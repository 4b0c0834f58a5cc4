"""Files under a shipper: over rename, copy and truncate, compression, and stops in between, each line comes exactly once."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from rich.status import Status

from tailrace.cli.ship import _watch
from tailrace.errors import Conflict, Invalid, Unavailable
from tailrace.model.line_format import Multiline
from tailrace.producers.ship import shipper as shipper_module
from tailrace.producers.ship import tailed as tailed_module
from tailrace.producers.ship import tracker as tracker_module
from tailrace.producers.ship.names import bases_of, is_put_aside
from tailrace.producers.ship.shipper import Shipped, Shipper
from tailrace.producers.ship.start import Options, ship_files
from tailrace.runtime.clock import SystemClock
from tests.ship.node import Node, flaky, running

PATIENCE_S = 240
"""For a machine that is busy with other tests; nothing waits so long where all is well."""


class Log:
    """A log that is written to, and what was written to it in all its generations."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []

    def write(self, count: int, *, end: bytes = b"\n") -> None:
        lines = [b"%s line %d" % (self.path.name.encode(), len(self.written) + n) for n in range(count)]
        with self.path.open("ab") as file:
            file.write(b"\n".join(lines) + end)
        self.written += lines

    def rename(self, aside: str = ".1") -> Path:
        return self.path.rename(self.path.with_name(self.path.name + aside))

    def copy_truncate(self, aside: str = ".1") -> Path:
        copy = Path(shutil.copyfile(self.path, self.path.with_name(self.path.name + aside)))
        os.truncate(self.path, 0)
        return copy

    def gzip(self, plain: Path) -> Path:
        packed = plain.with_name(plain.name + ".gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        shutil.copystat(plain, packed)
        plain.unlink()
        return packed


@pytest.fixture
def node() -> Iterator[Node]:
    with running() as node:
        yield node
        assert node.wrong == []


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "logs").mkdir()
    return Log(tmp_path / "logs" / "app.log")


def options(node: Node, tmp_path: Path, **more: object) -> Options:
    return Options(node.url, {"format": "json"}, **{"connections": 1, "state": tmp_path / "state", **more})  # type: ignore[arg-type]


def make(node: Node, tmp_path: Path, *patterns: Path | str, told: list[str] | None = None, **more: object) -> Shipper:
    tell = (lambda text: None) if told is None else told.append
    return ship_files([str(each) for each in patterns], options(node, tmp_path, **more), SystemClock(), tell)


def once(node: Node, tmp_path: Path, *patterns: Path | str, **more: object) -> Shipped:
    return make(node, tmp_path, *patterns, once=True, **more).run(lambda shipped: None)


@contextmanager
def following(node: Node, tmp_path: Path, *patterns: Path | str, **more: object) -> Iterator[Shipper]:
    shipper = make(node, tmp_path, *patterns, **more)
    thread = threading.Thread(target=shipper.run, args=(lambda shipped: None,), daemon=True)
    thread.start()
    yield shipper
    shipper.stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"not so after {PATIENCE_S} s"
        time.sleep(0.02)


def arrived(node: Node, log: Log) -> None:
    """All that was written is there, once, and in order."""
    until(lambda: len(node.lines) >= len(log.written))
    assert node.lines == log.written


def test_files_that_rest_are_still_followed(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are known to rest before anything happens to them; they are then looked at two at a time."""
    monkeypatch.setattr(tailed_module, "REST_S", 0.3)
    monkeypatch.setattr(tracker_module, "RESTING_A_SCAN", 2)
    (tmp_path / "logs").mkdir()
    logs = [Log(tmp_path / "logs" / f"app{n}.log") for n in range(7)]
    for log in logs:
        log.write(3)
    with following(node, tmp_path, tmp_path / "logs" / "*.log") as shipper:
        until(lambda: len([each for each in shipper._tracker.tailed if each.resting]) == len(logs))
        logs[0].write(2)
        logs[1].rename()
        logs[1].write(2)
        logs[2].copy_truncate()
        logs[2].write(3)
        size = logs[3].path.stat().st_size
        os.truncate(logs[3].path, 0)
        logs[3].write(3)  # as long as before
        assert logs[3].path.stat().st_size == size
        logs[4].write(1, end=b"")
        logs[4].write(1)
        logs[5].write(1)
        logs[5].rename()
        written = [line for log in logs for line in log.written]
        joined = {b"app4.log line 3", b"app4.log line 4"}
        written = [line for line in written if line not in joined] + [b"".join(sorted(joined))]
        until(lambda: len(node.lines) >= len(written))
    assert sorted(node.lines) == sorted(written)


class _Tick:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


def test_json_says_every_few_seconds_how_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    clock, shipped = _Tick(), Shipped(files=1)
    watch = _watch(Status("", console=Console(file=io.StringIO())), clock)  # type: ignore[arg-type]
    for _ in range(12):
        watch(shipped)
        clock.now_s += 1
        shipped.accepted += 10
    assert [json.loads(line)["accepted"] for line in capsys.readouterr().out.splitlines()] == [50, 100]


def test_a_file_is_shipped_once_and_not_again(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(1000)
    shipped = once(node, tmp_path, log.path)
    assert (shipped.accepted, shipped.bytes_acked, shipped.bytes_behind) == (1000, log.path.stat().st_size, 0)
    assert once(node, tmp_path, log.path).posts == 0
    log.write(10, end=b"")
    assert once(node, tmp_path, log.path).accepted == 10
    arrived(node, log)


def test_several_files_by_pattern_and_one_that_comes_later(node: Node, tmp_path: Path, log: Log) -> None:
    other = Log(log.path.with_name("web.log"))
    log.write(5)
    with following(node, tmp_path, f"{log.path.parent}/*.log"):
        until(lambda: len(node.lines) == 5)
        other.write(7)
        until(lambda: len(node.lines) == 12)
    assert sorted(node.lines) == sorted(log.written + other.written)


def test_a_last_line_waits_for_its_end(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(3, end=b"\n{partial")
    with following(node, tmp_path, log.path):
        until(lambda: len(node.lines) == 3)
        with log.path.open("ab") as file:
            file.write(b" and whole}\n")
        until(lambda: len(node.lines) == 4)
    assert node.lines[3] == b"{partial and whole}"


def test_a_last_line_is_sent_after_a_while_if_asked(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(3, end=b"")
    with following(node, tmp_path, log.path, flush_s=0.1):
        arrived(node, log)


@pytest.mark.parametrize("rotate", [Log.rename, Log.copy_truncate])
def test_rotation_while_it_runs(node: Node, log: Log, tmp_path: Path, rotate: Callable[[Log], Path]) -> None:
    log.write(50)
    with following(node, tmp_path, log.path):
        arrived(node, log)
        for _ in range(3):
            log.write(20)
            rotate(log)
            log.write(20)
            arrived(node, log)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("rotate", [Log.rename, Log.copy_truncate])
def test_rotation_while_it_is_stopped(
    node: Node, log: Log, tmp_path: Path, rotate: Callable[..., Path], compressed: bool
) -> None:
    """More than one, so that there are files which nobody has seen yet."""
    log.write(50)
    once(node, tmp_path, log.path)
    log.write(20)
    earliest = rotate(log, ".2")
    log.write(30)
    before = rotate(log, ".1")
    log.write(10)
    if compressed:
        log.gzip(earliest)
        log.gzip(before)
    once(node, tmp_path, log.path)
    assert sorted(node.lines) == sorted(log.written)
    once(node, tmp_path, log.path)
    assert len(node.lines) == len(log.written)


def test_what_was_put_aside_before_the_first_run_is_not_asked_for(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(50)
    log.rename()
    log.written = []
    log.write(5)
    once(node, tmp_path, log.path)
    assert node.lines == log.written
    log.gzip(log.path.with_name("app.log.1"))
    once(node, tmp_path, log.path)
    assert node.lines == log.written


def test_a_pattern_takes_what_was_put_aside_and_no_copy(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(50)
    log.gzip(log.rename(".2"))
    log.write(30)
    log.rename(".1")
    log.write(10)
    pattern = f"{log.path}*"
    with following(node, tmp_path, pattern):
        until(lambda: len(node.lines) == 90)
        log.write(5)
        log.copy_truncate(".0")
        log.write(5)
        until(lambda: len(node.lines) == 100)
    assert sorted(node.lines) == sorted(log.written)
    once(node, tmp_path, pattern)
    assert len(node.lines) == 100


def test_an_inode_given_to_another_file(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(50)
    once(node, tmp_path, log.path)
    log.path.write_bytes(b"another file\n" * 100)
    once(node, tmp_path, log.path)
    assert node.lines == [*log.written, *[b"another file"] * 100]


def test_the_inode_of_a_compressed_file_given_to_the_next(node: Node, log: Log, tmp_path: Path) -> None:
    """As it happens when one file is removed before the next is made."""
    log.write(50)
    once(node, tmp_path, log.path)
    log.write(20)
    log.gzip(log.rename(".2"))
    log.write(30)
    later = log.gzip(log.rename(".1"))
    log.write(10)
    with sqlite3.connect(tmp_path / "state" / "ship.db") as journal:
        found = later.stat()
        journal.execute("UPDATE files SET device = ?, inode = ?", (str(found.st_dev), str(found.st_ino)))
    journal.close()
    once(node, tmp_path, log.path)
    assert sorted(node.lines) == sorted(log.written)


def test_a_file_truncated_under_a_writer_that_goes_on_at_its_old_place(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(500)
    once(node, tmp_path, log.path)
    size = log.path.stat().st_size
    os.truncate(log.path, 0)
    with log.path.open("r+b") as file:
        file.seek(size)
        file.write(b"after the hole\n")
    once(node, tmp_path, log.path)
    assert node.lines == [*log.written, b"after the hole"]


def test_a_file_that_is_deleted_is_read_to_its_end(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(5)
    with following(node, tmp_path, log.path), log.path.open("ab") as writer:
        arrived(node, log)
        log.path.unlink()
        writer.write(b"after its end\n")
        writer.flush()
        until(lambda: len(node.lines) == 6)
        log.write(4)
        until(lambda: len(node.lines) == 10)


def test_from_the_end(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(50, end=b"\nhalf a li")
    with following(node, tmp_path, log.path, from_end=True) as shipper:
        until(lambda: shipper.shipped.files == 1)
        with log.path.open("ab") as file:
            file.write(b"ne\nnew\n")
        until(lambda: len(node.lines) == 2)
    assert node.lines == [b"half a line", b"new"]


def test_lines_longer_than_a_post(node: Node, log: Log, tmp_path: Path) -> None:
    long = b"x" * (5 << 20)
    log.path.write_bytes(b"before\n" + long + b"\nafter\n")
    once(node, tmp_path, log.path)
    assert node.lines == [b"before", long, b"after"]


def test_a_post_that_is_too_large_is_divided(log: Log, tmp_path: Path) -> None:
    with running(body_bytes_max=1000) as node:
        log.write(300)
        once(node, tmp_path, log.path)
        assert sorted(node.lines) == sorted(log.written)


def test_a_record_of_many_lines_is_never_divided(node: Node, log: Log, tmp_path: Path) -> None:
    records = [b"%d error\n" % n + b"  at a\n  at b\n" * (n % 4) for n in range(60_000)]
    with following(node, tmp_path, log.path, multiline=Multiline(start=r"^\d+ "), lines_flush_s=0.3):
        with log.path.open("ab", buffering=1 << 16) as file:
            for record in records:
                file.write(record)
        expected = b"".join(records).count(b"\n")
        until(lambda: len(node.lines) == expected)
    assert b"".join(body for _, body in node.posts.values()) == b"".join(records)
    assert all(body[:1].isdigit() for _, body in node.posts.values())
    assert len(node.posts) > 1


def test_a_node_that_fails_in_every_way(log: Log, tmp_path: Path) -> None:
    with running(flaky(3)) as node:
        with following(node, tmp_path, log.path):
            for _ in range(30):
                log.write(10)
                time.sleep(0.01)
            arrived(node, log)
        assert node.wrong == []


def test_a_post_is_in_the_journal_before_it_is_sent(
    node: Node, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[bool] = []
    store = node.store

    def looking(stamp: str, path: str, body: bytes) -> tuple[int, int]:
        journal = sqlite3.connect(tmp_path / "state" / "ship.db")
        row = journal.execute('SELECT "end" - start FROM posts WHERE stamp = ?', (stamp,)).fetchone()
        journal.close()
        known.append(row == (len(body),))
        return store(stamp, path, body)

    monkeypatch.setattr(node, "store", looking)
    with following(node, tmp_path, log.path):
        for _ in range(20):
            log.write(10)
            arrived(node, log)
    assert known == [True] * len(known)
    assert len(known) >= 20


def test_a_node_that_is_away_costs_nothing_but_time(log: Log, tmp_path: Path) -> None:
    log.write(1000)
    told: list[str] = []
    with running(lambda: "503") as node:
        with pytest.raises(Unavailable, match="nothing was acknowledged"):
            once(node, tmp_path, log.path, patience_s=0.3, told=told)
        assert any("sending again" in text for text in told)
        node.fault = lambda: ""
        assert once(node, tmp_path, log.path).accepted == 1000


def test_a_refusal_ends_it_and_loses_nothing(log: Log, tmp_path: Path) -> None:
    log.write(10)
    with running(lambda: "400") as node:
        with pytest.raises(Invalid, match="refused a post for good: 400"):
            once(node, tmp_path, log.path)
        node.fault = lambda: ""
        once(node, tmp_path, log.path)
        arrived(node, log)


def test_what_was_on_the_way_and_is_gone_is_told(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.producers.ship.tracker.HOMELESS_S", 0.1)
    log.write(10)
    with running(lambda: "503") as node:
        with pytest.raises(Unavailable):
            once(node, tmp_path, log.path, patience_s=0.2)
        log.path.unlink()
        node.fault = lambda: ""
        shipped = once(node, tmp_path, log.path)
        assert shipped.bytes_lost == len(b"\n".join(log.written)) + 1
        assert "on the way" in shipped.lost[0]
        assert once(node, tmp_path, log.path).bytes_lost == 0


def test_one_journal_serves_one_process_and_one_node(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(1)
    with following(node, tmp_path, log.path), pytest.raises(Conflict, match="another"):
        make(node, tmp_path, log.path)
    node.url = node.url.replace("127.0.0.1", "localhost")
    with pytest.raises(Invalid, match="what was shipped to"):
        make(node, tmp_path, log.path)


@pytest.mark.parametrize("asked", ["app.log", "*.gz"])
def test_a_file_that_cannot_be_read_to_its_end_is_told(node: Node, log: Log, tmp_path: Path, asked: str) -> None:
    log.write(20_000)
    packed = log.gzip(log.rename())
    packed.write_bytes(packed.read_bytes()[:-1000])
    log.path.parent.joinpath("folder").mkdir()
    names = [log.path.parent / asked, packed, log.path.parent / "folder"]
    log.path.write_bytes(b"")
    [folder, damaged] = sorted(once(node, tmp_path, *names).unread, key=lambda text: "folder" not in text)
    assert folder.startswith(f"{log.path.parent / 'folder'}: ")
    assert damaged.startswith(f"{packed}: ")
    packed.write_bytes(gzip.compress(b"\n".join(log.written) + b"\n"))
    assert once(node, tmp_path, *names[:2]).unread == []
    arrived(node, log)


def test_a_journal_that_is_removed_ends_it_before_more_is_sent(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(3)
    shipper = make(node, tmp_path, log.path)

    def removed(shipped: Shipped) -> None:
        if shipped.accepted == 3 and (tmp_path / "state").exists():
            shutil.rmtree(tmp_path / "state")
            log.write(2)

    with pytest.raises(Unavailable, match="was removed or replaced"):
        shipper.run(removed)
    assert node.lines == log.written[:3]


def test_a_copied_journal_takes_other_numbers(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(10)
    once(node, tmp_path, log.path)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    log.write(10)
    once(node, tmp_path, log.path)
    log.write(5)
    once(node, tmp_path, log.path, state=tmp_path / "copy")
    assert len({stamp.split(";")[0] for stamp in node.posts}) == 2
    assert len(node.lines) == 35  # what is shipped by two is there twice; nothing is missing


def test_compression(node: Node, log: Log, tmp_path: Path) -> None:
    log.write(10)
    once(node, tmp_path, log.path, compression="gzip", token="secret")
    (_, body), headers = next(iter(node.posts.values())), node.headers[0]
    assert gzip.decompress(body) == log.path.read_bytes()
    assert (headers["Content-Encoding"], headers["Authorization"]) == ("gzip", "Bearer secret")


def test_a_file_put_aside_is_closed_after_a_while(
    node: Node, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_module, "GRACE_S", 0.1)
    log.write(10, end=b"")
    with following(node, tmp_path, log.path) as shipper:
        until(lambda: shipper.shipped.files == 1)
        log.rename()
        log.write(5)
        until(lambda: len(node.lines) == 15 and shipper.shipped.files == 1)
        assert sorted(node.lines) == sorted(log.written)


@pytest.mark.parametrize("aside", ["1", "20261123", "2026-11-23", "2026112317", "1763917200", "old", "1.gz"])
def test_names_of_rotation(aside: str) -> None:
    assert is_put_aside(f"app.log.{aside}", "app.log")
    assert "app.log" in bases_of(f"app.log.{aside}")


@pytest.mark.parametrize("name", ["app.1.log", "app-20261123.log", "app-20261123.log.gz", "app.log.gz"])
def test_names_of_rotation_before_an_ending(name: str) -> None:
    assert is_put_aside(name, "app.log")
    assert "app.log" in bases_of(name)


@pytest.mark.parametrize("name", ["app.log", "app.logger", "app.log.txt", "app-2.log", "apps.log.1", "app.log.12345"])
def test_names_of_other_files(name: str) -> None:
    assert not is_put_aside(name, "app.log")
