"""Lines that cannot be read, seen by a person: listed, shown, and given back byte for byte."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.testing.node import RunningNode

pytestmark = pytest.mark.slow
BODY = b'{"endpoint":"/no-stamp"}\nnot json \x1b[31m\n{"timestamp":"2026-11-22T10:00:00Z"}\n\xff\xfe\n'


def run(node: RunningNode, *words: str, code: int = 0, out: bool = False) -> bytes:
    """What it prints: on standard error if it fails, unless `out`."""
    command = [sys.executable, "-m", "tailrace.cli.main", "deadletters", *words]
    done = subprocess.run(
        [*command, "--url", f"http://127.0.0.1:{node.port}"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 or out else done.stderr


def test_dead_letters_are_listed_and_shown(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "data") as node:
        assert b"no dead letters" in run(node, "list")
        assert node.post_logs(BODY).json["dead_lettered_total"] == 3
        listed = node.get("/v1/deadletters").json
        assert listed["total"] == 3
        by_kind = {letter["verdict"]: letter for letter in listed["dead_letters"]}
        assert by_kind["no_timestamp"]["raw"] == '{"endpoint":"/no-stamp"}'
        assert base64.b64decode(by_kind["not_utf8"]["raw_base64"]) == b"\xff\xfe"
        assert run(node, "show", by_kind["not_utf8"]["id"], "--raw") == b"\xff\xfe"
        assert json.loads(run(node, "show", by_kind["malformed"]["id"], "--json"))["raw"] == "not json \x1b[31m"
        shown = run(node, "list", "--verdict", "malformed") + run(node, "show", by_kind["malformed"]["id"])
        assert b"not json" in shown
        assert b"\x1b[31m" not in shown
        assert node.get("/v1/deadletters", limit=1).json["dead_letters"] == listed["dead_letters"][:1]
        assert node.get("/v1/deadletters", verdict="odd").status == 400
        assert node.get("/v1/deadletters/0-999999").status == 404
        assert b"no verdict" in run(node, "list", "--verdict", "odd", code=2)
        assert b"no dead letter" in run(node, "show", "0-999999", code=2)


def test_lists_stay_small_when_lines_are_not(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "data") as node:
        long = "é" * 5_000
        assert node.post_logs(long.encode()).json["dead_lettered_total"] == 1
        (letter,) = node.get("/v1/deadletters").json["dead_letters"]
        assert (letter["bytes"], letter["raw"]) == (10_000, "é" * 1_024)
        assert node.get(f"/v1/deadletters/{letter['id']}").json["raw"] == long


def test_redrive_after_the_format_was_put_right(tmp_path: Path) -> None:
    line = b'203.0.113.9 - - [22/Nov/2026:10:00:0%d +0000] "GET /shop HTTP/1.1" 200 512'
    with RunningNode(tmp_path / "data") as node:
        assert node.post_logs(b"\n".join(line % n for n in range(5)) + b"\nnonsense").json["dead_lettered_total"] == 6
        shown = run(node, "redrive", "--format", "combined", "--preview", code=1, out=True)
        assert b"/shop" in shown
        assert b"5 can be read, 1 still cannot be" in shown
        assert node.view("overall_health", total="true")["rows"] == []
        assert b"5 read, 5 appended" in run(node, "redrive", "--format", "combined", code=1, out=True)
        assert [row[1] for row in node.view("overall_health", total="true")["rows"]] == [5]
        again = json.loads(run(node, "redrive", "--format", "combined", "--json", code=1, out=True))
        assert (again["looked_at"], again["accepted"]) == (1, 0)
        listed = node.get("/v1/deadletters").json
        assert [bool(letter["redriven_at"]) for letter in listed["dead_letters"]].count(True) == 5
        assert b"format" in run(node, "redrive", "--format", "odd", code=2)
        assert node.get("/v1/pipeline").json["ledger"]["balanced"]
