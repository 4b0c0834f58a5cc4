"""A replayed file: every line once, in order, with its stamp where the speed puts it, and nothing else changed."""

from __future__ import annotations

import gzip
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tailrace.errors import Invalid
from tailrace.model.window import parse_iso
from tailrace.producers.replay import Replay, parse_speed
from tailrace.producers.stamps import move_access, move_json, read_access, read_json
from tailrace.runtime.clock import ManualClock

NOW_US = 1_800_000_000_000_000
LINE = b'10.0.0.1 - - [17/May/2015:10:05:%02d +0200] "GET /a?b=[c] HTTP/1.1" 200 203 "-" "Mozilla/5.0 [en]"'


def shared_log() -> Path:
    folder = Path(os.environ.get("TAILRACE_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    path = folder / "apache_access.log"
    if not path.exists():
        pytest.skip("the shared test data is not here")
    return path


def write(folder: Path, *lines: bytes) -> Path:
    path = folder / "a.log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def played(path: Path, speed: float = 1.0, *, keep_time: bool = False) -> list[tuple[int, bytes]]:
    """(due, line) of each line."""
    posts = Replay(path, speed=speed, keep_time=keep_time).posts(ManualClock(NOW_US))
    return [(post.due_us - NOW_US, line) for post in posts for line in bytes(post.body).splitlines()]


def test_the_first_line_is_now_and_the_rest_follows_at_the_speed(tmp_path: Path) -> None:
    path = write(tmp_path, LINE % 0, LINE % 30, LINE % 59)
    assert [due for due, _ in played(path, 10.0)] == [0, 3_000_000, 5_900_000]
    stamps = [read_access(line) for _, line in played(path, 10.0)]
    assert stamps == [NOW_US, NOW_US + 3_000_000, NOW_US + 5_000_000]  # whole seconds


def test_only_the_stamp_of_a_line_changes(tmp_path: Path) -> None:
    ((_, line),) = played(write(tmp_path, LINE % 7))
    assert re.sub(rb"\[\d\d/.*? \+0000\]", b"[17/May/2015:10:05:07 +0200]", line, count=1) == LINE % 7


def test_kept_stamps_keep_the_line_byte_for_byte_and_the_pace(tmp_path: Path) -> None:
    path = write(tmp_path, LINE % 0, LINE % 30)
    assert played(path, 10.0, keep_time=True) == [(0, LINE % 0), (3_000_000, LINE % 30)]


def test_lines_out_of_order_keep_the_order_of_the_file(tmp_path: Path) -> None:
    found = played(write(tmp_path, LINE % 10, LINE % 40, LINE % 5, LINE % 50))
    assert [due for due, _ in found] == [0, 30_000_000, 30_000_000, 40_000_000]
    assert read_access(found[2][1]) == NOW_US - 5_000_000


def test_lines_that_cannot_be_read_are_sent_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, LINE % 0, b"not a log line \xff", b"", b"   ", LINE % 1)
    assert [line for _, line in played(path)][1] == b"not a log line \xff"
    assert len(played(path)) == 3


def test_json_lines_are_told_by_their_first_one(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b'{"timestamp":"2015-05-17T10:05:00Z","n":1.10,"big":1e400,"t":"[17/May/2015:10:05:03 +0000]"}',
        b'{"n": 2, "timestamp" : "2015-05-17T10:05:01.500+02:00"}',
        b'{"n":3}',
        b"{broken",
    )
    found = played(path, 2.0)
    assert Replay(path, speed=1.0).format == "json"
    assert [due for due, _ in found] == [0, 0, 0, 0]  # 10:05:01.5 of +02:00 is two hours before the first
    assert found[0][1].startswith(b'{"timestamp":"2027-01-15T08:00:00Z","n":1.10,"big":1e400,')
    assert read_json(found[1][1], "timestamp") == NOW_US - (7200 - 1.5) * 1_000_000 / 2
    assert [line for _, line in found[2:]] == [b'{"n":3}', b"{broken"]


@pytest.mark.parametrize(
    ("value", "at_us"),
    [
        ("1431857103", 1_431_857_103_000_000),
        ("1431857103.25", 1_431_857_103_250_000),
        ("1431857103250", 1_431_857_103_250_000),
        ("1431857103250001", 1_431_857_103_250_001),
        ("1431857103250001000", 1_431_857_103_250_001),
        ('"2015-05-17T10:05:03.25Z"', 1_431_857_103_250_000),
    ],
)
def test_numbers_keep_their_unit(value: str, at_us: int) -> None:
    line = f'{{"ts":{value}}}'.encode()
    assert read_json(line, "ts") == at_us
    moved = move_json(line, NOW_US, "ts")
    assert read_json(moved, "ts") == NOW_US
    assert len(moved) >= len(line) - 8


@pytest.mark.parametrize("value", ["true", "null", '"soon"', "[1]", "1e400"])
def test_what_is_no_stamp_is_not_read(value: str) -> None:
    assert read_json(f'{{"ts":{value}}}'.encode(), "ts") is None


def test_zones_count() -> None:
    assert read_access(LINE % 3) == parse_iso("2015-05-17T08:05:03Z")
    assert read_access(b"[17/Foo/2015:10:05:03 +0000]") is None
    assert read_access(b"[31/Feb/2015:10:05:03 +0000]") is None
    assert move_access(b"a [17/May/2015:10:05:03 -0700] b", 0) == b"a [01/Jan/1970:00:00:00 +0000] b"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\n", b"\x00\x01"])
def test_a_file_that_is_no_log_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(content)
    with pytest.raises(Invalid):
        Replay(path, speed=1.0)


def test_a_file_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        Replay(tmp_path / "no.log", speed=1.0)


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(LINE % 1 + b"\n" + LINE % 2 + b"\n"))
    assert len(played(path)) == 2


@pytest.mark.parametrize(("text", "speed"), [("60x", 60.0), ("60", 60.0), ("0.5x", 0.5), ("1e6x", 1e6)])
def test_speeds(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0x", "-1", "fast", "", "nan", "inf"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no speed"):
        parse_speed(text)


def test_the_real_log_is_played_whole() -> None:
    path = shared_log()
    posts = list(Replay(path, speed=60.0).posts(ManualClock(NOW_US)))
    assert sum(post.lines for post in posts) == 10_000
    assert [a.due_us <= b.due_us for a, b in pairwise(posts)].count(False) == 0
    original = path.read_bytes().splitlines()
    sent = [line for post in posts for line in bytes(post.body).splitlines()]
    assert [re.sub(rb"\[[^\]]*\]", b"", line, count=1) for line in sent] == [
        re.sub(rb"\[[^\]]*\]", b"", line, count=1) for line in original
    ]
    first_us, last_us = read_access(original[0]), read_access(original[-1])
    assert first_us is not None
    assert last_us is not None
    moved = NOW_US + (last_us - first_us) // 60
    assert read_access(sent[-1]) == moved - moved % 1_000_000
