"""Keys in the settings file, on the command line, and where the node may listen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.cli.access import key_for
from tailrace.config.handed_on import read_settings, write_settings
from tailrace.config.load import load_settings
from tailrace.errors import Invalid
from tailrace.testing.node import RunningNode
from tests.kinesis.conftest import SECRET

KEY = f'[[keys]]\nid = "one"\nsecret = "{SECRET}"\n'


def loaded(folder: Path, text: str) -> tuple[tuple[str, str], ...]:
    (folder / "tailrace.toml").write_text(text)
    return tuple((key.id, key.secret) for key in load_settings(folder=folder).keys)


def test_keys_are_read_and_not_shown(tmp_path: Path) -> None:
    assert loaded(tmp_path, KEY + '[[keys]]\nid = "two"\nsecret = "another-secret-0123"\n')[0] == ("one", SECRET)
    settings = load_settings(folder=tmp_path)
    assert SECRET not in repr(settings)
    write_settings(settings)
    assert read_settings(settings.data_dir).keys == settings.keys


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("keys = 3", "keys"),
        ('[[keys]]\nid = "a"', "keys[0].secret"),
        (f'[[keys]]\nsecret = "{SECRET}"', "keys[0].id"),
        (f'[[keys]]\nid = "a b"\nsecret = "{SECRET}"', "keys[0].id"),
        ('[[keys]]\nid = "a"\nsecret = "too-short-0"', "keys[0].secret"),
        (f'[[keys]]\nid = "a"\nsecret = "{SECRET}"\nscope = "x"', "keys[0].scope"),
        (KEY + KEY, "keys[1].id"),
    ],
)
def test_wrong_keys_are_named_without_their_secret(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Invalid) as error:
        loaded(tmp_path, text)
    assert f"`{named}`" in error.value.message
    assert SECRET not in error.value.message + error.value.hint
    assert "too-short-0" not in error.value.message + error.value.hint


def test_where_a_command_has_its_key_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILRACE_KEY", raising=False)
    assert key_for("http://127.0.0.1:8080", tmp_path) == ""
    (tmp_path / "tailrace.toml").write_text(KEY)
    assert key_for("http://127.0.0.1:8080", tmp_path) == SECRET
    assert key_for("http://127.0.0.1:9999", tmp_path) == ""
    assert key_for("http://logs.example.com:8080", tmp_path) == "", "a local secret goes to no other machine"
    monkeypatch.setenv("TAILRACE_KEY", "from-the-variable")
    assert key_for("http://logs.example.com:8080", tmp_path) == "from-the-variable"


def test_commands_use_it(node: RunningNode, tmp_path: Path) -> None:
    def run(**env: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "tailrace.cli.main",
            "shards",
            "list",
            "--url",
            f"http://127.0.0.1:{node.port}",
        ]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment(**env), check=False
        )

    refused, wrong, right = run(), run(TAILRACE_KEY="wrong"), run(TAILRACE_KEY=SECRET)
    assert (refused.returncode, wrong.returncode, right.returncode) == (2, 2, 0)
    assert "TAILRACE_KEY" in refused.stderr
    assert "shardId-000000000000" in right.stdout


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "TAILRACE_KEY"} | more


def test_without_a_key_a_node_listens_on_loopback_alone(tmp_path: Path) -> None:
    """With one it listens anywhere: `test_scripts` has such a node."""
    command = [
        sys.executable,
        "-m",
        "tailrace.cli.main",
        "up",
        "--data",
        str(tmp_path / "data"),
        "--listen",
        "0.0.0.0:0",
    ]
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "[[keys]]" in refused.stderr
