"""Pins outlive the process, come back as they were put, and are never shown once they are damaged."""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.errors import Conflict, Corrupt, NotFound, TooLarge
from tailrace.states import pins as module
from tailrace.states.pins import Pin, PinStore

RESULT = b'{"columns":["a"],"rows":[[1.50]],"others":0,"truncated":false}'


def pin(pin_id: str, created_us: int = 1) -> Pin:
    return Pin(
        id=pin_id,
        view="v",
        version="f00",
        sql="SELECT",
        query={"from": "2026-01-01T00:00:00Z"},
        position={"shardId-000000000000": None},
        position_token="AQ",
        created_us=created_us,
        rows=1,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pins.db"


def test_a_pin_comes_back_after_a_restart(path: Path) -> None:
    kept = PinStore(path).add(pin("a"), RESULT)
    found, result = PinStore(path).one("a")
    assert (found, result) == (kept, RESULT)
    assert found.bytes == len(RESULT)


def test_the_list_is_newest_first(path: Path) -> None:
    store = PinStore(path)
    for number, pin_id in enumerate("bca"):
        store.add(pin(pin_id, number), RESULT)
    assert [each.id for each in store.all() if isinstance(each, Pin)] == ["a", "c", "b"]


def test_one_that_is_removed_is_gone(path: Path) -> None:
    store = PinStore(path)
    store.add(pin("a"), RESULT)
    store.remove("a")
    with pytest.raises(NotFound):
        store.one("a")
    with pytest.raises(NotFound):
        store.remove("a")
    assert store.all() == []


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE pins SET result = ? WHERE id = 'a'", (zlib.compress(RESULT.replace(b"1.50", b"1.51")),)),
        ("UPDATE pins SET result = ? WHERE id = 'a'", (b"nonsense",)),
        ("UPDATE pins SET result = ? WHERE id = 'a'", ("text",)),
        ("UPDATE pins SET result = CAST(substr(result, 1, length(result) - 1) AS BLOB) WHERE id = 'a'", ()),
        ("UPDATE pins SET body = ? WHERE id = 'a'", (b"TRM1abcd",)),
        ("UPDATE pins SET body = (SELECT body FROM pins WHERE id = ?) WHERE id = 'a'", ("b",)),
    ],
)
def test_a_damaged_pin_is_named_and_the_others_are_shown(
    path: Path, statement: str, values: tuple[object, ...]
) -> None:
    store = PinStore(path)
    store.add(pin("a"), RESULT)
    store.add(pin("b"), RESULT.replace(b"1.50", b"2.50"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)
    with pytest.raises(Corrupt, match=r"pins\.db.*pin `a`"):
        store.one("a")
    assert store.one("b")[0].id == "b"
    assert "b" in [each.id for each in store.all() if isinstance(each, Pin)]
    store.remove("a")
    assert len(store.all()) == 1


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(os.urandom(8192))
    store = PinStore(path)
    for use in (store.all, lambda: store.one("a"), lambda: store.add(pin("a"), RESULT), lambda: store.remove("a")):
        with pytest.raises(Corrupt, match=r"pins\.db"):
            use()


def test_pins_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PinStore(path)
    monkeypatch.setattr(module, "RESULT_BYTES_MAX", len(RESULT) - 1)
    with pytest.raises(TooLarge, match="result has"):
        store.add(pin("a"), RESULT)
    monkeypatch.setattr(module, "RESULT_BYTES_MAX", len(RESULT))
    monkeypatch.setattr(module, "PINS_MAX", 2)
    store.add(pin("a"), RESULT)
    store.add(pin("b"), RESULT)
    with pytest.raises(Conflict, match="pins with"):
        store.add(pin("c"), RESULT)
    store.remove("a")
    monkeypatch.setattr(module, "STORED_BYTES_MAX", 80)
    with pytest.raises(Conflict):
        store.add(pin("c"), RESULT)
    assert len(store.all()) == 1
