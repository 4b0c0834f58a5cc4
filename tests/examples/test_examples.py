"""The files in examples/ do what they say, run by the programs that they are for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tailrace.cli.main import main
from tests.repo.files import ROOT
from tests.ship.node import running
from tests.ship.test_follow import Log, following, once

EXAMPLES = ROOT / "examples"


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s, "not so after half a minute"
        time.sleep(0.02)


def needs(program: str) -> str:
    """Its path. Debian keeps daemons where a user's PATH may not look."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def test_every_example_is_named_in_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text()
    files = {
        str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in files if f"({name})" not in page} == {"README.md"}


def test_the_python_service() -> None:
    with running() as node:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "python" / "service.py"), node.url],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in node.lines]
    assert [record.get("status") for record in records] == [200, 402, 402, None]
    assert {record["service"] for record in records} == {"shop"}
    assert records[1]["message"] == "card 0000 refused"
    assert "AttributeError" in records[3]["exception"]


# ---- rsyslog ---------------------------------------------------------------------------------------------------------


@contextmanager
def rsyslog(folder: Path, out: Path) -> Iterator[int]:
    """A real rsyslogd with the example, listening on a TCP port of loopback; ends with the block."""
    program = needs("rsyslogd")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    example = (EXAMPLES / "rsyslog" / "tailrace.conf").read_text()
    assert example.count("/var/log/tailrace/syslog.ndjson") == 2
    config = folder / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{folder}")\nmodule(load="imtcp")\n'
        f'input(type="imtcp" address="127.0.0.1" port="{port}")\n'
        + example.replace("/var/log/tailrace/syslog.ndjson", str(out))
    )
    checked = subprocess.run([program, "-N1", "-f", str(config)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    daemon = subprocess.Popen([program, "-n", "-f", str(config), "-i", str(folder / "pid")], stderr=subprocess.PIPE)
    try:
        yield port
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)


def test_rsyslog_writes_lines_that_are_shipped(tmp_path: Path) -> None:
    out = tmp_path / "out" / "syslog.ndjson"
    with rsyslog(tmp_path, out) as port:

        def connected() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError:
                return False
            return True

        until(connected)
        with socket.create_connection(("127.0.0.1", port)) as sending:
            for n in range(50):
                sending.sendall(f'<11>1 2026-11-23T10:00:{n:02d}Z web-1 shop 42 - - said "{n}" \\ and\ttab\n'.encode())
        until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 50)
    with running() as node:
        assert once(node, tmp_path, out).accepted == 50
        records = [json.loads(line) for line in node.lines]
    assert [re.sub(r"\D", "", record["message"].partition("\\")[0]) for record in records] == [
        str(n) for n in range(50)
    ]
    first = records[0]
    assert (first["service"], first["host"], first["level"], first["procid"]) == ("shop", "web-1", "err", "42")
    assert first["timestamp"].startswith("2026-11-23T10:00:00")


# ---- logrotate -------------------------------------------------------------------------------------------------------


def rotate(folder: Path, config: Path) -> None:
    program = needs("logrotate")
    done = subprocess.run(
        [program, "--force", "--state", str(folder / "rotation"), str(config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def logrotate_config(folder: Path, name: str, pattern: str, log: Path) -> Path:
    """The example for the test's file; nobody but the test writes it, so nobody is told to open another."""
    text = (EXAMPLES / "logrotate" / name).read_text()
    assert text.count(pattern) == 1
    text = re.sub(r"\n *postrotate.*?endscript", "", text.replace(pattern, str(log)), flags=re.DOTALL)
    config = folder / f"logrotate-{name}"
    config.write_text(text)
    config.chmod(0o644)
    return config


@pytest.mark.parametrize(
    ("name", "pattern"), [("rename", "/var/log/tailrace/*.ndjson"), ("copytruncate", "/var/log/tailrace/*.log")]
)
def test_logrotate_under_ship(tmp_path: Path, name: str, pattern: str) -> None:
    needs("logrotate")
    (tmp_path / "logs").mkdir(mode=0o755)
    log = Log(tmp_path / "logs" / "app.log")
    config = logrotate_config(tmp_path, name, pattern, log.path)
    with running() as node:
        log.write(50)
        with following(node, tmp_path, log.path):
            for _ in range(3):
                log.write(20)
                rotate(tmp_path, config)
                log.write(20)
                until(lambda: len(node.lines) >= len(log.written))
        log.write(5)
        rotate(tmp_path, config)  # while nobody follows; what is older is compressed by now
        log.write(5)
        once(node, tmp_path, log.path)
        assert sorted(node.lines) == sorted(log.written)


# ---- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["http", "otlp"])
def test_fluent_bit_files_have_the_form_and_name_what_the_node_has(name: str) -> None:
    config = yaml.safe_load((EXAMPLES / "fluent-bit" / f"{name}.yaml").read_text())
    assert config.keys() == {"service", "pipeline"}
    [reading], [sending] = config["pipeline"]["inputs"], config["pipeline"]["outputs"]
    assert (reading["name"], reading["storage.type"]) == ("tail", "filesystem")
    assert (sending["match"], sending["port"], sending["retry_limit"]) == ("*", 8080, "no_limits")
    assert sending.get("uri", sending.get("logs_uri")) in ("/v1/logs?format=json", "/v1/otlp/v1/logs")


def test_the_service_of_systemd_has_a_command_line_that_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (EXAMPLES / "systemd" / "tailrace-ship.service").read_text()
    [command] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    (tmp_path / "a.ndjson").write_text('{"n":1}\n')
    words = shlex.split(
        command.replace("/var/log/tailrace", str(tmp_path)).replace("/var/lib/tailrace-ship", str(tmp_path / "s"))
    )
    with running() as node:
        words[words.index("--to") + 1] = node.url
        assert main([*words[1:], "--once", "--json"]) == 0
        assert node.lines == [b'{"n":1}']
    assert json.loads(capsys.readouterr().out)["accepted"] == 1
