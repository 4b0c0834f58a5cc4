"""The checker of acks finds what it is there to find: each way of answering too early, one by one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.config.settings import StreamSettings
from tailrace.model.sequence import sequence_number
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.embedded import open_embedded
from tailrace.testing.acks import STATE_PAGE, acks_of, transactions, unsynced_acks
from tailrace.testing.contracts.stream_samples import FIELDS, sample_batch
from tailrace.testing.syscalls import Event, Kind, parse

ROOT = "/data"
FOLDER = f"{ROOT}/stream/shardId-000000000000"
DB = f"{FOLDER}/00000001.db"
WAL = f"{DB}-wal"
LINES = 3
Change = Callable[[list[Event]], list[Event]]


def life(folder: Path) -> list[Event]:
    """The calls of one acknowledged post, its bytes those of a real file, each sync where it belongs."""
    stream = open_embedded(folder / "stream", StreamSettings(shards=1), FIELDS, ManualClock())
    shard = stream.shards()[0]
    stream.append(sample_batch(shard.id, range(LINES))).result(60)
    file = folder / "stream" / shard.id / "00000001.db"
    db, wal = file.read_bytes(), file.with_name(f"{file.name}-wal").read_bytes()
    position = {shard.id: sequence_number(shard, LINES - 1)}
    stream.close()
    body = json.dumps({"accepted": LINES, "position": position}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    calls = [
        (Kind.MAKE_FOLDER, f"{ROOT}/stream", b""),
        (Kind.SYNC, ROOT, b""),
        (Kind.MAKE_FOLDER, FOLDER, b""),
        (Kind.SYNC, f"{ROOT}/stream", b""),
        (Kind.CREATE, DB, b""),
        (Kind.WRITE, DB, db),
        (Kind.SYNC, DB, b""),
        (Kind.CREATE, WAL, b""),
        (Kind.SYNC, FOLDER, b""),
        (Kind.WRITE, WAL, wal),
        (Kind.SYNC, WAL, b""),
        (Kind.SEND, "socket:[1]", answer),
    ]
    return [Event(kind, path, 10 * n, 10 * n + 1, data=data) for n, (kind, path, data) in enumerate(calls)]


def without(kind: Kind, path: str) -> Change:
    return lambda events: [e for e in events if (e.kind, e.path) != (kind, path)]


def changed(kind: Kind, at: str, /, **values: object) -> Change:
    def change(events: list[Event]) -> list[Event]:
        found = [replace(e, **values) if (e.kind, e.path) == (kind, at) else e for e in events]
        return sorted(found, key=lambda e: e.ended)

    return change


def torn_off(events: list[Event]) -> list[Event]:
    """The last frame is written after the sync."""
    write = next(e for e in events if (e.kind, e.path) == (Kind.WRITE, WAL))
    cut = len(write.data) - 1
    head = replace(write, data=write.data[:cut])
    tail = replace(write, at=cut, data=write.data[cut:], began=103, ended=104)
    return sorted([*(e for e in events if e is not write), head, tail], key=lambda e: e.ended)


def test_a_good_life_has_nothing_wrong(tmp_path: Path) -> None:
    events = life(tmp_path)
    assert [ack.offsets for ack in acks_of(events)] == [{"shardId-000000000000": LINES - 1}]
    assert unsynced_acks(events, ROOT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(Kind.SYNC, WAL), "was not synced"),
        (changed(Kind.SYNC, WAL, began=120, ended=121), "was not synced"),
        (changed(Kind.SYNC, WAL, ended=115), "was not synced"),
        (changed(Kind.SYNC, WAL, path=DB), "was not synced"),
        (changed(Kind.SYNC, WAL, path=f"{ROOT}/other-wal"), "was not synced"),
        (changed(Kind.SYNC, WAL, ok=False), "was not synced"),
        (changed(Kind.SYNC, WAL, began=85, ended=100), "was not synced"),
        (torn_off, "was not synced"),
        (without(Kind.WRITE, WAL), "nothing that holds it was written"),
        (without(Kind.SYNC, FOLDER), f"the name {DB} was not synced"),
        (changed(Kind.SYNC, FOLDER, began=65, ended=66), f"the name {WAL} was not synced"),
        (without(Kind.SYNC, f"{ROOT}/stream"), f"the name {FOLDER} was not synced"),
        (without(Kind.SYNC, ROOT), f"the name {ROOT}/stream was not synced"),
        (changed(Kind.SEND, "socket:[1]", began=90), "nothing that holds it was written"),
    ],
    ids=[
        "sync missing",
        "sync after the ack",
        "sync not ended at the ack",
        "sync of the other file",
        "sync of a stranger's file",
        "sync failed",
        "sync began before the write ended",
        "last byte written after the sync",
        "never written",
        "folder never synced",
        "folder synced before the name came",
        "shard's folder not synced",
        "stream's folder not synced",
        "answered while it was written",
    ],
)
def test_each_early_answer_is_found(tmp_path: Path, change: Change, said: str) -> None:
    problems = unsynced_acks(change(life(tmp_path)), ROOT)
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_an_answer_in_pieces_counts_from_its_first_byte(tmp_path: Path) -> None:
    *before, sync, answer = life(tmp_path)
    first = replace(answer, data=answer.data[:20], began=sync.began - 3, ended=sync.began - 2)
    rest = replace(answer, data=answer.data[20:])
    assert unsynced_acks([*before, sync, replace(first, began=105, ended=106), rest], ROOT) == []
    assert len(unsynced_acks([*before, first, sync, rest], ROOT)) == 1


def test_the_state_table_stands_where_the_checker_looks(tmp_path: Path) -> None:
    events = life(tmp_path)
    with sqlite3.connect(tmp_path / "stream/shardId-000000000000/00000001.db") as connection:
        assert connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state'").fetchone() == (STATE_PAGE,)
    connection.close()
    wal = next(e.data for e in events if (e.kind, e.path) == (Kind.WRITE, WAL))
    assert list(transactions(bytearray(wal))) == [(len(wal), LINES)]


def text(plain: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in plain.encode())


def test_a_trace_becomes_events() -> None:
    path, other = text("/d/f"), text("/d/g")
    lines = [
        f'7  openat(AT_FDCWD<{text("/")}>, "{path}", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3<{path}>',
        f'7  write(3<{path}>, "{text("abc")}", 3) = 3',
        f'7  pwrite64(3<{path}>, "{text("xyz")}", 3, 512 <unfinished ...>',
        f'8  write(3<{path}>, "{text("de")}", 2) = 2',
        "7  <... pwrite64 resumed>) = 2",
        f"7  fdatasync(3<{path}> <unfinished ...>",
        f"8  lseek(3<{path}>, 100, SEEK_SET) = 100",
        f'8  write(3<{path}>, "{text("f")}", 1) = 1',
        "7  <... fdatasync resumed>) = 0",
        f"8  fsync(3<{path}>) = -1 EIO (Input/output error) (INJECTED)",
        f'8  write(3<{path}>, "{text("f")}", 1) = -1 ENOSPC (No space left on device)',
        f"8  ftruncate(3<{path}>, 4) = 0",
        f'8  rename("{path}", "{other}") = 0',
        f'8  sendto(9<{text("socket:[5]")}>, "{text("hi")}", 2, MSG_NOSIGNAL, NULL, 0) = 2',
        f'8  unlinkat(AT_FDCWD<{text("/d")}>, "{text("g")}", 0) = 0',
        f'8  mkdir("{text("/elsewhere")}", 0777) = 0',
        "8  +++ exited with 0 +++",
    ]
    assert parse(lines, "/d") == [
        Event(Kind.CREATE, "/d/f", 0, 0),
        Event(Kind.WRITE, "/d/f", 1, 1, at=0, data=b"abc"),
        Event(Kind.WRITE, "/d/f", 3, 3, at=3, data=b"de"),
        Event(Kind.WRITE, "/d/f", 2, 4, at=512, data=b"xy"),
        Event(Kind.WRITE, "/d/f", 7, 7, at=100, data=b"f"),
        Event(Kind.SYNC, "/d/f", 5, 8),
        Event(Kind.SYNC, "/d/f", 9, 9, ok=False),
        Event(Kind.TRUNCATE, "/d/f", 11, 11, at=4),
        Event(Kind.RENAME, "/d/f", 12, 12, other="/d/g"),
        Event(Kind.SEND, "socket:[5]", 13, 13, data=b"hi"),
        Event(Kind.REMOVE, "/d/g", 14, 14),
    ]
