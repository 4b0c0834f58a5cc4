"""The small texts of the commands: cells, carets, one-liners, errors of the API, whether there is a screen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.browser import has_screen, open_page
from tailrace.cli.cells import cell, is_number
from tailrace.cli.client import DEFAULT_URL, Client, api_error, node_url
from tailrace.cli.tail import one_line
from tailrace.cli.views import quoted
from tailrace.errors import InternalError, Invalid, NotFound, TailraceError, Unavailable
from tailrace.pipeline.run_file import RunFile, write_run_file

RECORD: dict[str, Any] = {
    "timestamp": "2026-11-22T10:00:00.250Z", "service": "auth", "endpoint": "/login", "method": "POST", "status": 503,
    "response_ms": 1250.4, "ip": "10.0.0.1", "level": "ERROR", "trace_id": "ab", "message": "no [connection]",
}  # fmt: skip


def test_a_record_on_a_line() -> None:
    assert one_line(RECORD).plain == ("2026-11-22 10:00:00.250 503 auth POST /login 1,250 ms 10.0.0.1  no [connection]")


def test_a_record_with_nothing_but_its_stamp() -> None:
    assert one_line({**dict.fromkeys(RECORD), "timestamp": "2026-11-22T10:00:00Z"}).plain == (
        "2026-11-22 10:00:00       - -"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (1234567, "1,234,567"), (1.5, "1.500"), ("a [b]", "a [b]")]
)
def test_cells(value: object, text: str) -> None:
    assert cell(value).plain == text


@pytest.mark.parametrize(
    ("sql_type", "number"),
    [
        ("BIGINT", True),
        ("DECIMAL(18,3)", True),
        ("DOUBLE", True),
        ("INTEGER", True),
        ("VARCHAR", False),
        ("POINT[]", False),
    ],
)
def test_numbers_are_set_to_the_right(sql_type: str, number: bool) -> None:
    assert is_number(sql_type) is number


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        (1, 1, "   1 | SELECT a\n     | ^"),
        (2, 3, "   1 | SELECT a\n   2 | \tFROM b\n     |   ^".replace("\t", " ")),
        (9, 99, "   1 | SELECT a\n   2 |  FROM b\n     |        ^"),
    ],
)
def test_the_caret_stands_below_the_place(line: int, column: int, text: str) -> None:
    assert quoted("SELECT a\n\tFROM b", line, column) == text


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (404, NotFound), (413, Invalid), (429, Unavailable), (503, Unavailable), (500, InternalError)],
)
def test_the_errors_of_a_node_keep_their_words(status: int, kind: type[TailraceError]) -> None:
    body = json.dumps({"error": {"code": "x", "message": "what", "hint": "how"}}).encode()
    error = api_error(status, body)
    assert type(error) is kind
    assert (error.message, error.hint) == ("what", "how")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error":"x"}', b""])
def test_other_errors_are_shown_as_they_came(body: bytes) -> None:
    assert api_error(502, body).message == f"the node answered 502: {body.decode()}"


def test_the_node_of_the_folder_is_found_while_it_lives(tmp_path: Path) -> None:
    assert node_url(None, tmp_path) == DEFAULT_URL
    write_run_file(tmp_path / "tailrace-data" / "run", _run_file(os.getpid()))
    assert node_url(None, tmp_path) == "http://127.0.0.1:9999"
    assert node_url("http://x:1", tmp_path) == "http://x:1"
    write_run_file(tmp_path / "tailrace-data" / "run", _run_file(2**22 + 1))
    assert node_url(None, tmp_path) == DEFAULT_URL


def _run_file(pid: int) -> RunFile:
    return RunFile(pid=pid, url="http://127.0.0.1:9999", data_dir="", views_dir="", started_at="", version="")


def test_an_address_must_be_http() -> None:
    with pytest.raises(Invalid):
        Client("localhost:8080")


@pytest.mark.parametrize(
    ("environment", "platform", "screen"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "BROWSER": "none"}, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "x"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_only_where_it_could_be_seen(
    environment: dict[str, str], platform: str, screen: bool
) -> None:
    assert has_screen(environment, platform) is screen


def test_without_a_screen_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "none")
    assert not open_page("http://127.0.0.1:1")
