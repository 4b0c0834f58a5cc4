"""`tailrace users` and `tailrace keys`, on a data folder that no node runs on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from tailrace.access import passwords
from tailrace.access.directory import Directory
from tailrace.access.store import AccessStore
from tailrace.cli.main import main
from tailrace.config.settings import Settings
from tailrace.runtime.clock import ManualClock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return tmp_path


class Said:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def json(self, *words: str) -> Any:
        assert main([*words, "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)

    def text(self, *words: str) -> str:
        assert main([*words]) == 0
        return self._capsys.readouterr().out

    def error(self, code: int, *words: str) -> str:
        assert main([*words]) == code
        return self._capsys.readouterr().err


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "tailrace-data", views_dir=folder / "views")


def test_users_from_the_first_to_the_last(said: Said, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = said.json("users", "add", "ada", "--admin")
    assert made["scopes"] == ["ingest", "query", "admin"]
    assert len(made["password"]) == 24
    monkeypatch.setattr("sys.stdin", io.StringIO("a password of her own\n"))
    assert said.json("users", "add", "grace", "--password-stdin")["password"] is None
    assert [(user["name"], user["scopes"]) for user in said.json("users", "list")["users"]] == [
        ("ada", ["ingest", "query", "admin"]),
        ("grace", ["query"]),
    ]
    assert said.json("users", "scopes", "grace", "query", "ingest", "--stream", "errors")["scopes"] == [
        "ingest:errors",
        "query:errors",
    ]
    again = said.text("users", "password", "ada")
    assert "shown this once" in again
    assert made["password"] not in said.text("users", "list")
    assert "last user" in said.error(3, "users", "remove", "ada")
    assert said.json("users", "remove", "grace") == {"name": "grace", "removed": True}
    store = AccessStore(settings(folder).access_path)
    assert {row.actor.partition(":")[0] for row in store.audit(10)} == {"command"}
    assert [row.action for row in store.audit(10)][::-1] == [
        "user.add",
        "user.add",
        "user.scopes",
        "user.password",
        "user.remove",
    ]


def test_keys_are_made_for_one_thing_and_revoked(said: Said, folder: Path) -> None:
    made = said.json("keys", "add", "fluent-bit on web-1", "--expires", "90d")
    assert (made["scopes"], made["signs"]) == (["ingest"], False)
    directory = Directory(AccessStore(settings(folder).access_path), settings(folder), ManualClock(0))
    assert directory.by_secret(made["secret"])
    (listed,) = said.json("keys", "list")["keys"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert said.json("keys", "add", "shop", "--kinesis", "--scope", "query:errors")["signs"]
    assert said.json("keys", "revoke", made["id"])["revoked"]
    assert [key["name"] for key in said.json("keys", "list")["keys"]] == ["shop"]
    assert "trk_" in said.text("keys", "add", "for people")


def test_keys_of_the_settings_are_shown_and_revoked_there(said: Said, folder: Path) -> None:
    secret = "0123456789abcdef"
    (folder / "tailrace.toml").write_text(f'[[keys]]\nid = "one"\nsecret = "{secret}"\nscopes = ["query"]\n')
    (listed,) = said.json("keys", "list")["keys"]
    assert (listed["id"], listed["scopes"], listed["source"]) == ("one", ["query"], "settings")
    assert secret not in said.text("keys", "list")
    assert "tailrace.toml" in said.error(3, "keys", "revoke", "one")


@pytest.mark.parametrize(
    ("words", "code", "said_of_it"),
    [
        (["users", "add", "a b"], 2, "cannot be the name"),
        (["users", "add", "ada", "--admin", "--scope", "query"], 2, "all scopes"),
        (["users", "add", "ada", "--scope", "reader"], 2, "no scope"),
        (["users", "add", "ada", "--password-stdin"], 2, "no password"),
        (["users", "password", "nobody"], 2, "no user"),
        (["users", "remove", "nobody"], 2, "no user"),
        (["users", "scopes", "nobody", "query"], 2, "no user"),
        (["keys", "add", " "], 2, "needs a name"),
        (["keys", "add", "a", "--expires", "soon"], 2, "soon"),
        (["keys", "revoke", "TR0"], 2, "no key"),
    ],
)
def test_what_is_wrong_is_said(said: Said, words: list[str], code: int, said_of_it: str) -> None:
    assert said_of_it in said.error(code, *words)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('scopes = "query"', "keys[0].scopes"),
        ("scopes = []", "keys[0].scopes"),
        ('scopes = ["reader"]', "keys[0].scopes"),
        ('streams = ["a b"]', "keys[0].streams"),
        ("streams = [1]", "keys[0].streams"),
    ],
)
def test_wrong_scopes_in_the_settings_are_named(said: Said, folder: Path, line: str, named: str) -> None:
    (folder / "tailrace.toml").write_text(f'[[keys]]\nid = "one"\nsecret = "0123456789abcdef"\n{line}\n')
    assert f"`{named}`" in said.error(2, "keys", "list")
