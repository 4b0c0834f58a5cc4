"""Users, keys and sessions in the file, and how another process learns of them. The clock is moved by hand."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tailrace.access import passwords
from tailrace.access.directory import LOOK_S, Directory
from tailrace.access.login import Login
from tailrace.access.manage import Manager
from tailrace.access.store import SESSIONS_MAX, AccessStore, has_access
from tailrace.config.settings import AccessKey, AccessSettings, Settings
from tailrace.errors import Conflict, Corrupt, Invalid, NotFound, TooOften, Unauthorized
from tailrace.runtime.clock import ManualClock

PASSWORD = "a quiet river at night"


class Desk:
    """One process that changes the file and another that reads it."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(data_dir=folder, views_dir=folder / "views")
        self.clock = ManualClock()
        self.manager = Manager(AccessStore(self.settings.access_path), self.clock, "command:tests")
        self.directory = Directory(AccessStore(self.settings.access_path), self.settings, self.clock)
        self.login = Login(self.directory, self.settings.access, self.clock)

    def log_in(self, name: str = "ada", password: str = PASSWORD) -> str:
        self.login.begin(name, "10.0.0.1")
        token = self.login.verify(name, password, "10.0.0.1", "a browser").token
        self.login.forgive(name, "10.0.0.1")
        return token


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_file_is_for_its_owner_alone_and_holds_no_secret(desk: Desk) -> None:
    desk.manager.add_user("ada", ["admin"], PASSWORD)
    secret = desk.manager.add_key("shop", ["ingest"]).secret
    token = desk.log_in()
    paths = sorted(desk.settings.data_dir.glob("access.db*"))
    assert [oct(path.stat().st_mode & 0o777) for path in paths] == ["0o600"] * len(paths)
    held = b"".join(path.read_bytes() for path in paths)
    assert not any(each.encode() in held for each in (PASSWORD, secret, token))
    assert b"$argon2id$" in held


def test_a_key_is_known_at_once_and_revoked_for_all_within_half_a_second(desk: Desk) -> None:
    assert not desk.directory.login_required()
    made = desk.manager.add_key("shop", ["ingest", "query:errors"])
    shown = desk.directory.by_secret(made.secret)
    assert shown is not None
    assert shown.principal.grants.texts() == ["ingest", "query:errors"]
    assert desk.directory.login_required()
    assert desk.directory.by_id_and_secret(made.key.id, made.secret) == shown
    assert desk.directory.by_id_and_secret(made.key.id, "another") is None
    assert desk.directory.by_secret(made.key.id) is None
    desk.manager.revoke_key(made.key.id)
    desk.clock.advance(LOOK_S)
    assert desk.directory.by_secret(made.secret) is None
    assert desk.directory.again(shown) is None


def test_a_key_ends_when_it_expires(desk: Desk) -> None:
    made = desk.manager.add_key("for a day", ["query"], 86_400)
    assert desk.directory.by_secret(made.secret)
    desk.clock.advance(86_399)
    assert desk.directory.by_secret(made.secret)
    desk.clock.advance(1)
    assert desk.directory.by_secret(made.secret) is None
    assert desk.directory.login_required(), "an expired key opens nothing"


def test_only_keys_that_were_made_for_it_sign(desk: Desk) -> None:
    plain, signing = desk.manager.add_key("a", ["ingest"]), desk.manager.add_key("b", ["ingest"], signs=True)
    assert dict(desk.directory.signing()) == {signing.key.id: signing.secret}
    late = desk.manager.add_key("c", ["ingest"], signs=True)
    assert late.key.id in desk.directory.signing(), "at once"
    assert plain.key.secret == ""


def test_a_session_ends_by_age_by_idleness_and_with_its_user(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, views_dir=tmp_path, access=AccessSettings(session_s=1000, session_idle_s=300)
    )
    desk = Desk(tmp_path, settings)
    desk.manager.add_user("ada", ["query"], PASSWORD)
    token = desk.log_in()
    shown = desk.directory.by_token(token)
    assert shown is not None
    assert (shown.principal.name, shown.session is not None) == ("ada", True)
    for _ in range(4):  # in use, as the door writes it down
        desk.clock.advance(240)
        assert desk.directory.by_token(token)
        desk.manager.store.seen(shown.session, None, desk.clock.now_us())
    desk.clock.advance(39)
    assert desk.directory.by_token(token)
    desk.clock.advance(1)
    assert desk.directory.by_token(token) is None, "1000 s are over, although it was in use"

    idle = desk.log_in()
    desk.clock.advance(300)
    assert desk.directory.by_token(idle) is None

    removed = desk.log_in()
    assert desk.directory.by_token(removed)
    desk.manager.remove_user("ada")
    desk.clock.advance(LOOK_S)
    assert desk.directory.by_token(removed) is None
    desk.manager.add_user("ada", ["admin"], PASSWORD)
    assert desk.directory.by_token(removed) is None, "another user of the same name has no session of the first"


def test_a_new_password_ends_the_other_sessions(desk: Desk) -> None:
    desk.manager.add_user("ada", ["query"], PASSWORD)
    here, there = desk.log_in(), desk.log_in()
    shown = desk.directory.by_token(here)
    assert shown is not None
    assert desk.manager.set_password("ADA", "another long password", shown.principal.session) == ("", 1)
    desk.clock.advance(LOOK_S)
    assert desk.directory.by_token(here) == shown
    assert desk.directory.by_token(there) is None
    with pytest.raises(Unauthorized):
        desk.log_in()
    assert desk.log_in("Ada", "another long password")


def test_new_scopes_hold_for_sessions_that_are_open(desk: Desk) -> None:
    desk.manager.add_user("ada", ["query"], PASSWORD)
    shown = desk.directory.by_token(desk.log_in())
    assert shown is not None
    desk.manager.set_scopes("ada", ["query:errors"])
    desk.clock.advance(LOOK_S)
    again = desk.directory.again(shown)
    assert again is not None
    assert again != shown
    assert again.principal.grants.texts() == ["query:errors"]


def test_the_last_who_administers_stays(desk: Desk) -> None:
    desk.manager.add_user("ada", ["admin", "query"], PASSWORD)
    desk.manager.add_user("grace", ["query", "admin:errors"], PASSWORD)
    for change in (lambda: desk.manager.remove_user("ada"), lambda: desk.manager.set_scopes("ada", ["query"])):
        with pytest.raises(Conflict, match="last"):
            change()
    desk.manager.set_scopes("grace", ["admin"])
    desk.manager.remove_user("Ada")
    with pytest.raises(Conflict):
        desk.manager.set_scopes("grace", ["query"])
    assert [user.name for user in desk.manager.store.users()] == ["grace"]


def test_an_unknown_user_and_a_wrong_password_are_told_alike(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.manager.add_user("ada", ["query"], PASSWORD)
    checked: list[bool] = []
    hasher = passwords._hasher()

    class Counting:
        def verify(self, stored: str, given: bytes) -> bool:
            checked.append(True)
            return hasher.verify(stored, given)

        def check_needs_rehash(self, stored: str) -> bool:
            return hasher.check_needs_rehash(stored)

    counting = Counting()
    monkeypatch.setattr(passwords, "_hasher", lambda: counting)
    said = []
    for name in ("ada", "nobody"):
        with pytest.raises(Unauthorized) as error:
            desk.log_in(name, "wrong, and long enough")
        said.append((error.value.message, error.value.hint))
    assert said[0] == said[1]
    assert len(checked) == 2, "each costs one argon2"
    noted = [(row.actor, row.outcome) for row in desk.manager.store.audit(2)]
    assert noted == [("unknown", "refused"), ("user:ada", "refused")], "what was typed as a name may be a password"


def test_attempts_are_bounded_and_say_when_to_come_again(desk: Desk) -> None:
    desk.manager.add_user("ada", ["query"], PASSWORD)
    for _ in range(5):
        desk.login.begin("ada", "10.0.0.1")
    with pytest.raises(TooOften) as error:
        desk.login.begin("ada", "10.0.0.1")
    assert error.value.retry_after_s >= 1
    desk.clock.advance(error.value.retry_after_s)
    desk.login.begin("ada", "10.0.0.1")


def test_keys_of_the_settings_are_known_with_their_scopes(tmp_path: Path) -> None:
    keys = (AccessKey("one", "0123456789abcdef"), AccessKey("two", "fedcba9876543210", ("query",), ("errors",)))
    desk = Desk(tmp_path, Settings(data_dir=tmp_path, views_dir=tmp_path, keys=keys, local_key="of-this-run"))
    assert desk.directory.login_required()
    found = [desk.directory.by_secret(secret) for secret in (keys[0].secret, keys[1].secret, "of-this-run", "")]
    assert [each and each.principal.grants.texts() for each in found] == [
        ["ingest", "query", "admin"],
        ["query:errors"],
        ["ingest", "query", "admin"],
        None,
    ]
    assert dict(desk.directory.signing()) == {"one": keys[0].secret, "two": keys[1].secret}


def test_when_a_log_in_is_wanted(tmp_path: Path) -> None:
    base = Settings(data_dir=tmp_path, views_dir=tmp_path, local_key="of-this-run")
    store = AccessStore(base.access_path)
    assert not has_access(base)
    assert not base.access_path.exists(), "asking makes nothing"

    def wanted(settings: Settings) -> bool:
        return Directory(store, settings, ManualClock()).login_required()

    assert not wanted(base)
    assert wanted(replace(base, access=AccessSettings(login_required=True)))
    assert wanted(replace(base, listen_host="0.0.0.0")), "whatever becomes of the users while it runs"
    Manager(store, ManualClock(), "tests").add_user("ada", ["admin"], PASSWORD)
    assert wanted(base)
    assert has_access(base)


def test_sessions_of_a_user_are_bounded(desk: Desk) -> None:
    key = desk.manager.add_key("a", ["query"])
    tokens = []
    for _ in range(SESSIONS_MAX + 2):
        tokens.append(desk.log_in(key.key.id, key.secret))
        desk.clock.advance(1)
    assert len(desk.manager.store.sessions()) == SESSIONS_MAX
    assert desk.directory.by_token(tokens[1]) is None
    assert desk.directory.by_token(tokens[2])


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda m: m.add_user("a b", ["query"], PASSWORD), Invalid),
        (lambda m: m.add_user("ada", [], PASSWORD), Invalid),
        (lambda m: m.add_user("ada", ["query"], "too short"), Invalid),
        (lambda m: m.add_user("ada", ["query"], "x" * 1025), Invalid),
        (lambda m: m.add_key("", ["query"]), Invalid),
        (lambda m: m.add_key("a\nb", ["query"]), Invalid),
        (lambda m: m.add_key("a", ["query"], -1), Invalid),
        (lambda m: m.set_scopes("nobody", ["query"]), NotFound),
        (lambda m: m.set_password("nobody", PASSWORD), NotFound),
        (lambda m: m.remove_user("nobody"), NotFound),
        (lambda m: m.revoke_key("nobody"), NotFound),
        (lambda m: m.end_session("nobody"), NotFound),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(desk: Desk, work: object, error: type[Exception]) -> None:
    before = desk.manager.store.changes()
    with pytest.raises(error):
        work(desk.manager)  # type: ignore[operator]
    assert desk.manager.store.changes() == before
    assert desk.manager.store.audit(1) == []


def test_passwords_are_argon2id_and_hashed_anew_when_that_has_become_stronger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.manager.add_user("ada", ["query"], PASSWORD)
    weak = desk.manager.store.user("ada")
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: stronger)
    passwords._nobody.cache_clear()
    token = desk.log_in()
    now = desk.manager.store.user("ada")
    assert weak is not None
    assert now is not None
    assert weak.password.startswith("$argon2id$v=19$m=8,")
    assert now.password.startswith("$argon2id$v=19$m=16,t=2,")
    assert desk.directory.by_token(token)


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, views_dir=tmp_path)
    settings.access_path.write_bytes(b"no database" * 100)
    with pytest.raises(Corrupt):
        Directory(AccessStore(settings.access_path), settings, ManualClock()).login_required()


def test_the_audit_keeps_the_newest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.access.store.AUDIT_KEPT", 3)
    for n in range(5):
        desk.manager.add_key(f"key {n}", ["query"])
    assert [row.detail for row in desk.manager.store.audit(10)] == [f"key {n}: query" for n in (4, 3, 2)]
    with sqlite3.connect(desk.settings.access_path) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (3,)
    connection.close()
