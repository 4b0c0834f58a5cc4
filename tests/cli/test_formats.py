"""`tailrace formats` and `tailrace endpoints`: what they say about a file of lines, without a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import main

SETTINGS = r"""
[ingest]
format = "own"
[[formats]]
name = "own"
pattern = '^(?P<ts>\S+) (?P<status>\d+) (?P<path>/\S*)$'
[[endpoint_rules]]
match = "/users/*"
template = "/users/{id}"
"""
STAMP = "2026-11-22T10:00:00Z"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tailrace.toml").write_text(SETTINGS)
    Path("app.log").write_text(f"{STAMP} 200 /users/17\nbad\n\n{STAMP} 2x /\n")


def said(capsys: pytest.CaptureFixture[str], words: str, code: int = 0) -> Any:
    assert main([*words.split(), "--json"]) == code
    out = capsys.readouterr()
    return json.loads(out.err if code == 2 else out.out)


def test_formats_are_listed_with_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "formats list")["formats"]
    assert [each["name"] for each in found] == ["json", "combined", "common", "clf", "logfmt", "own"]
    assert [each["name"] for each in found if each["default"]] == ["own"]
    assert [each["name"] for each in found if not each["built_in"]] == ["own"]
    assert main(["formats", "list"]) == 0
    assert "(?P<status>" in capsys.readouterr().out


def test_a_format_is_tried_on_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "formats try own app.log", 1)
    fields = {"timestamp": STAMP, "endpoint": "/users/{id}", "status": 200, "extra": {"path": "/users/17"}}
    assert (found["accepted"], found["records"]) == (1, [{"line": 1, "fields": fields}])
    reason = "does not parse in the declared format"
    bad, odd = found["dead_lettered"]
    assert bad == {
        "line": 2,
        "reason": reason,
        "raw": "bad",
        "fits": r"^(?P<ts>\S+)",
        "wants": r" (?P<status>\d+) (?P<path>/\S*)$",
        "column": 4,
        "there": "",
    }
    assert (odd["line"], odd["column"], odd["there"]) == (4, 23, "x /")
    assert main(["formats", "try", "own", "app.log"]) == 1
    text = capsys.readouterr().out
    assert "1 read as own, 2 not" in text
    assert "at column 23 x /" in text


def test_only_the_first_lines_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "formats try own app.log --lines 1")
    assert (found["accepted"], found["dead_lettered_total"]) == (1, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("formats try onw app.log", "format `onw` is not known"),
        ("formats try own no.log", "`no.log` cannot be read"),
        ("endpoints suggest no.log", "`no.log` cannot be read"),
    ],
)
def test_what_cannot_be_tried_is_said(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert message in said(capsys, words, 2)["error"]["message"]


def test_rules_are_proposed_as_settings(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [f"/users/{n}" for n in range(30)] + [f"/shops/{n}/items" for n in range(30)]
    Path("many.log").write_text("".join(f"{STAMP} 200 {path}\n" for path in paths))
    found = said(capsys, "endpoints suggest many.log")
    assert (found["lines"], found["paths"]) == (60, 30)
    assert [rule["match"] for rule in found["rules"]] == ["/shops/*/items"]
    assert main(["endpoints", "suggest", "many.log"]) == 0
    with Path("tailrace.toml").open("a") as settings:
        settings.write(capsys.readouterr().out)
    assert said(capsys, "endpoints suggest many.log")["rules"] == []
