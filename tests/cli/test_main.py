"""Every command ends with the exit code that the help promises, and an error says what to do next."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace import __version__
from tailrace.cli.main import main
from tailrace.testing.node import free_port

GOOD = """CREATE VIEW slow AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start, endpoint,
       count(*) AS requests, avg(response_ms) AS mean, quantile(response_ms, 0.99) AS p99,
       approx_count_distinct(ip) AS visitors
FROM logs GROUP BY ALL;
"""
BAD = GOOD.replace("avg(response_ms)", "median(response_ms)")
NOBODY = f"http://127.0.0.1:{free_port()}"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, data or node of the folder that the tests are started in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRACE_URL", raising=False)
    monkeypatch.delenv("TAILRACE_DEBUG", raising=False)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


WRONG_USAGE = [
    ("frobnicate", "No such command 'frobnicate'"),
    ("query", "Missing argument 'SQL'"),
    ("up --listen 0.0.0.0:8080", "refusing to listen on `0.0.0.0`"),
    ("up --listen nowhere", "`nowhere` is no address to listen on"),
    ("up --config no.toml", "there is no file `no.toml`"),
    ("up --duration soon", "`soon` is not a duration"),
    ("demo --listen [::]:8080", "refusing to listen on `::`"),
    ("demo --keep-time", "`--keep-time` is for a log that is replayed"),
    ("demo --replay no.log", "`no.log` cannot be read"),
    ("demo --rate 0", "Invalid value for '--rate'"),
    ("doctor --listen 1.2.3.4", "`1.2.3.4` is no address"),
    ("views check no.sql", "`no.sql` cannot be read"),
    ("query --json --csv x", "`--json` and `--csv` are given both"),
    ("tail --url ftp://x", "`ftp://x` is no address of a node"),
    ("tail --limit 5000", "Invalid value for '--limit'"),
    ("produce --to stdout --rate 0", "rate `0` is not possible"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_USAGE, ids=[w for w, _ in WRONG_USAGE])
def test_wrong_usage_ends_with_2_and_says_why(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "words", ["query x", "tail", "explain endpoint_health now", "views list", "produce --duration 1s"]
)
def test_without_a_node_commands_end_with_3_and_the_next_step(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--to" if words.startswith("produce") else "--url", NOBODY]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"no node answers at `{NOBODY}`" in printed.err
    assert "tailrace up" in printed.err


def test_errors_are_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "list", "--json", "--url", NOBODY]) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "unavailable"
    assert set(error) == {"code", "message", "hint"}


def test_a_traceback_is_shown_on_demand_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "views", "list", "--url", NOBODY]) == 3
    assert "Traceback" in capsys.readouterr().err
    os.environ.pop("TAILRACE_DEBUG")


def test_a_taken_port_ends_with_3_and_names_another(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--listen", f"127.0.0.1:{taken}"]) == 3
    printed = capsys.readouterr().err
    assert f"port `{taken}` of `127.0.0.1` is taken" in printed
    assert f"--listen 127.0.0.1:{taken + 1}" in printed
    assert not (tmp_path / "tailrace-data" / "run" / "tailrace.json").exists()


def test_a_folder_that_cannot_be_written_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["up", "--data", "file/data"]) == 3
    assert "--data" in capsys.readouterr().err


def test_help_and_version_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in listed] == []
    assert main(["version"]) == 0
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tailrace {__version__}\n" * 2
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


COMMANDS = ["demo", "up", "tail", "query", "explain", "views", "produce", "doctor", "version"]
PAGES = [*(c for c in COMMANDS if c != "views"), "views list", "views check"]


@pytest.mark.parametrize("command", PAGES)
def test_every_page_of_help_has_an_example_and_its_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"tailrace {command}" in printed.partition(" Options ")[0].replace("Usage: tailrace", "Usage:")
    if command != "version":
        assert "Exit codes: 0" in printed


def test_a_good_view_shows_its_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.sql").write_text(GOOD)
    assert main(["views", "check", "slow.sql"]) == 0
    printed = capsys.readouterr().out
    assert "windows of 1 min, keys: endpoint" in printed
    for words in (
        ("requests", "count", "s0"),
        ("p99", "quantile", "bins[0]"),
        ("visitors", "distinct", "registers[0]"),
    ):
        assert any(all(word in line for word in words) for line in printed.splitlines()), words


def test_a_good_view_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.sql").write_text(GOOD)
    assert main(["views", "check", "slow.sql", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["name"], found["window_ms"], found["keys"]) == (True, "slow", 60_000, ["endpoint"])
    assert [c["kind"] for c in found["columns"]] == ["window", "key", "count", "avg", "quantile", "distinct"]


def test_a_bad_view_ends_with_1_and_points_at_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.sql").write_text(BAD)
    assert main(["views", "check", "slow.sql"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if "median" in line)
    assert lines[0] == "error  slow.sql:3:30"
    assert lines[at + 1].index("^") == lines[at].index("median")
    assert any(line.startswith("  try: ") for line in lines)


def test_a_bad_view_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow.sql").write_text(BAD)
    assert main(["views", "check", "slow.sql", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["line"], found["column"]) == (False, 3, 30)
    assert found["error"]["code"] == "view_error"


def test_a_view_may_use_the_fields_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "slow.sql").write_text(GOOD.replace("endpoint", "region"))
    assert main(["views", "check", "slow.sql"]) == 1
    (tmp_path / "tailrace.toml").write_text('[[fields]]\nname = "region"\ntype = "text"')
    assert main(["views", "check", "slow.sql"]) == 0


def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from tailrace.cli.main import main; main(['--help']); main(['version']);"
        "print([m for m in ('duckdb', 'pyarrow', 'numpy', 'pyiceberg', 'starlette', 'uvicorn', 'httpx', 'sqlglot')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_package_runs_as_the_program() -> None:
    done = subprocess.run([sys.executable, "-m", "tailrace", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tailrace ")
    assert subprocess.run([sys.executable, "-m", "tailrace", "nothing"], capture_output=True).returncode == 2


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m tailrace.cli.main version --json | true; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


def test_a_reader_that_has_gone_does_not_change_the_exit_code() -> None:
    text = (
        "import sys\n"
        "from tailrace.cli.output import console, to_reader\n"
        "with to_reader():\n"
        "    console().print('it does not hold')\n"
        "sys.exit(1)\n"
    )
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, "-c", text], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")
