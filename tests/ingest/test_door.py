"""The door of an ingest process while users and keys come and go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from tailrace.access import passwords
from tailrace.access.manage import Manager
from tailrace.access.principal import HEADER
from tailrace.access.store import AccessStore
from tailrace.config.settings import AccessSettings, Settings
from tailrace.runtime.clock import SystemClock
from tests.e2e.waiting import until
from tests.ingest.serving import ingesting, line, memory_stream, settings


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)


def manager(given: Settings) -> Manager:
    return Manager(AccessStore(given.access_path), SystemClock(), "tests")


def test_from_open_to_closed_and_back(tmp_path: Path) -> None:
    given = settings(tmp_path)
    desk = manager(given)
    with ingesting(memory_stream(), given) as url, httpx.Client(base_url=url, timeout=60) as client:

        def status(secret: str = "", path: str = "/v1/logs") -> int:
            headers = {"Authorization": f"Bearer {secret}"} if secret else {}
            return client.post(path, content=line(), headers=headers).status_code

        assert status() == 200
        made = desk.add_key("a", ["ingest"])
        until(lambda: status() == 401, status)
        assert status(made.secret) == 200
        assert status(made.secret + "x") == 401
        assert client.post("/v1/logs", content=line(), auth=(made.key.id, made.secret)).status_code == 200
        assert client.post("/v1/logs", content=line(), auth=("ada", made.secret)).status_code == 401
        assert status(made.secret, "/v1/query") == 403
        desk.revoke_key(made.key.id)
        until(lambda: status() == 200, status)
        desk.add_user("ada", ["query"])
        until(lambda: status() == 401, status)
        assert status(made.secret) == 401
        refused = client.get("/metrics")
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "unauthorized"


def test_a_scope_of_one_stream_sends_nothing_and_says_why(tmp_path: Path) -> None:
    given = settings(tmp_path)
    made = manager(given).add_key("a", ["ingest:errors", "query:errors"])
    with ingesting(memory_stream(), given) as url:
        headers = {"Authorization": f"Bearer {made.secret}"}
        answer = httpx.post(f"{url}/v1/logs", content=line(), headers=headers, timeout=60)
        assert answer.status_code == 403
        assert "`ingest` in all streams" in answer.json()["error"]["message"]


@pytest.mark.parametrize("change", [{"access": AccessSettings(login_required=True)}, {"listen_host": "0.0.0.0"}])
def test_without_a_user_nobody_gets_in_where_a_log_in_is_wanted(tmp_path: Path, change: dict[str, object]) -> None:
    given = replace(settings(tmp_path), local_key="of-this-run", **change)  # type: ignore[arg-type]
    with ingesting(memory_stream(), given) as url:
        assert httpx.post(f"{url}/v1/logs", content=line(), timeout=60).status_code == 401
        told = {HEADER: '{"principal":{"kind":"user","name":"a","pairs":[["ingest",""]]}}'}
        assert httpx.post(f"{url}/v1/logs", content=line(), headers=told, timeout=60).status_code == 401
        shown = {"Authorization": "Bearer of-this-run"}
        assert httpx.post(f"{url}/v1/logs", content=line(), headers=shown, timeout=60).status_code == 200
