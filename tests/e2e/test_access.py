"""A node with users and keys, which others may reach: who is let in where, for how long, and what is cut off."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tailrace.testing.node import Answer, RunningNode, free_port
from tests.e2e.nodes import QUICK
from tests.e2e.waiting import until
from tests.kinesis.conftest import client_of

PASSWORD = "a quiet river at night"
STREAM = "CREATE STREAM errors AS SELECT * FROM logs WHERE status >= 500"
WORSE = "CREATE STREAM crashes AS SELECT * FROM errors WHERE status >= 503"
VIEW = """CREATE VIEW {} AS SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, endpoint,
count(*) AS requests FROM {} GROUP BY ALL"""


def command(node: RunningNode, *words: str, text: str | None = None) -> Any:
    """What a command prints as JSON, on the data folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tailrace.cli.main", *words, "--data", str(node.data_dir), "--json"],
        input=text or "",
        capture_output=True,
        text=True,
        check=False,
        cwd=node.data_dir.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def made_key(node: RunningNode, *scopes: str, signs: bool = False) -> tuple[str, str]:
    """Id and secret."""
    body = {"name": "a test", "scopes": scopes or ("ingest",), "signs": signs}
    made = asked(node, "POST", "/v1/keys", body, **bearer(node.key))
    assert made.status == 201, made.body
    return made.json["id"], made.json["secret"]


def revoke(node: RunningNode, key_id: str) -> None:
    assert asked(node, "DELETE", f"/v1/keys/{key_id}", **bearer(node.key)).status == 200


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("access")
    tls = free_port()
    (folder / "tailrace.toml").write_text(f'{QUICK}[tls]\nlisten = "127.0.0.1:{tls}"\n')
    (folder / "views").mkdir()
    for name, text in {
        "errors": STREAM,
        "crashes": WORSE,
        "seen": VIEW.format("seen", "logs"),
        "failed": VIEW.format("failed", "errors"),
        "crashed": VIEW.format("crashed", "crashes"),
    }.items():
        (folder / "views" / f"{name}.sql").write_text(text)
    running = RunningNode(folder / "data", config=folder / "tailrace.toml", host="0.0.0.0")
    command(running, "users", "add", "ada", "--admin", "--password-stdin", text=PASSWORD + "\n")
    running.tls_port = tls  # type: ignore[attr-defined]
    try:
        running.start(wait=False)
        until(lambda: running.get("/readyz").status == 200, running.log_end, 600)
        lines = [{"timestamp": "2026-04-01T10:00:00Z", "endpoint": "/a", "status": s} for s in (200, 500, 503)]
        running.key = command(
            running, "keys", "add", "all", "--scope", "ingest", "--scope", "query", "--scope", "admin"
        )["secret"]
        assert running.post_logs("\n".join(map(json.dumps, lines)).encode()).status == 200
        until(lambda: {"seen", "failed", "crashed"} <= served(running), lambda: served(running))
        yield running
        running.stop()
    finally:
        running.kill_all()


def served(node: RunningNode) -> set[str]:
    return {view["name"] for view in node.get("/v1/views").json["views"] if view.get("served_version")}


def log_in(node: RunningNode, name: str = "ada", password: str = PASSWORD) -> Answer:
    body = json.dumps({"name": name, "password": password}).encode()
    return node.request("POST", "/v1/login", body, {"Authorization": ""})


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def asked(node: RunningNode, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """With these headers, and no key unless it is among them."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = None if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        connection.request(method, path, sent, named)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# -- who is let in -----------------------------------------------------------------------------------------------------


def test_without_a_log_in_the_page_is_open_and_nothing_else(node: RunningNode) -> None:
    for path in ("/healthz", "/readyz"):
        assert asked(node, "GET", path).status == 200
    assert asked(node, "GET", "/").status in (200, 503), "the page itself, or that it is not built"
    session = asked(node, "GET", "/v1/session").json
    assert (session["login_required"], session["kind"], session["scopes"]) == (True, None, [])
    for method, path in (
        ("GET", "/v1/views"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("POST", "/v1/logs"),
        ("POST", "/v1/query"),
        ("GET", "/v1/users"),
        ("GET", "/nothing"),
        ("DELETE", "/v1/logs"),
    ):
        refused = asked(node, method, path)
        assert (refused.status, refused.json["error"]["code"]) == (401, "unauthorized"), path
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_who_asks_cannot_say_so_himself(node: RunningNode) -> None:
    told = json.dumps({"principal": {"kind": "user", "name": "ada", "pairs": [["admin", ""], ["query", ""]]}})
    assert asked(node, "GET", "/v1/views", tailrace_asker=told).status == 401
    session = asked(node, "GET", "/v1/session", tailrace_asker=told).json
    assert session["name"] is None
    _, secret = made_key(node, "query:errors")
    refused = asked(
        node,
        "POST",
        "/v1/query",
        {"sql": "FROM logs"},
        **bearer(secret),
        tailrace_relations="logs",
        tailrace_asker=told,
    )
    assert refused.status == 403


def test_a_browser_logs_in_and_out(node: RunningNode) -> None:
    answer = log_in(node)
    assert answer.status == 200, answer.body
    cookie, *attributes = [part.strip().lower() for part in answer.headers["set-cookie"].split(";")]
    assert {"httponly", "samesite=strict", "path=/"} <= set(attributes)
    assert "secure" not in attributes, "it came over plain HTTP, where it would be lost"
    assert cookie.startswith(f"tailrace-{node.port}=trs_")
    assert (answer.json["name"], answer.json["scopes"]) == ("ada", ["ingest", "query", "admin"])
    Cookie = cookie_of(answer)
    assert asked(node, "GET", "/v1/views", Cookie=f"other=1; {Cookie}").status == 200
    assert asked(node, "GET", "/v1/session", Cookie=Cookie).json["by_session"]
    gone = asked(node, "POST", "/v1/logout", Cookie=Cookie)
    assert gone.json == {"ended": True}
    assert "max-age=0" in gone.headers["set-cookie"].lower()
    until(lambda: asked(node, "GET", "/v1/views", Cookie=Cookie).status == 401, lambda: "still in")


def test_over_tls_the_cookie_is_for_tls_alone(node: RunningNode) -> None:
    port = node.tls_port  # type: ignore[attr-defined]
    context = ssl.create_default_context(cafile=str(node.data_dir / "tls" / "certificate.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    try:
        connection.request("POST", "/v1/login", json.dumps({"name": "ADA", "password": PASSWORD}).encode())
        answer = connection.getresponse()
        cookie = answer.headers["set-cookie"]
        assert answer.status == 200, answer.read()
        answer.read()
        assert cookie.startswith(f"__Host-tailrace-{port}=")
        assert "; Secure" in cookie
        connection.request("GET", "/v1/views", headers={"Cookie": cookie.partition(";")[0]})
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    assert asked(node, "GET", "/v1/views", Cookie=cookie.partition(";")[0]).status == 401


def test_a_wrong_password_is_refused_and_many_are_slowed_down(node: RunningNode) -> None:
    for name in ("mallory", "Mallory"):
        assert log_in(node, name, "wrong").status == 401
    answers = (
        log_in(node, "mallory", "wrong") for _ in range(20)
    )  # each pause is twice the last: slow as it is, it is met
    slow = next(answer for answer in answers if answer.status == 429)
    assert int(slow.headers["retry-after"]) >= 1
    assert slow.json["error"]["code"] == "too_often"
    assert log_in(node).status == 200, "another name is not slowed down"


def test_other_sites_cannot_use_the_session(node: RunningNode) -> None:
    Cookie = cookie_of(log_in(node))
    own = f"http://127.0.0.1:{node.port}"
    body = {"sql": "SELECT 1 AS one"}
    assert asked(node, "POST", "/v1/query", body, Cookie=Cookie, Origin=own).status == 200
    assert asked(node, "POST", "/v1/query", body, Cookie=Cookie, Sec_Fetch_Site="same-origin").status == 200
    for foreign in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert asked(node, "POST", "/v1/query", body, Cookie=Cookie, **foreign).status == 403, foreign
        assert asked(node, "DELETE", "/v1/users/ada", Cookie=Cookie, **foreign).status == 403, foreign
    for headers in ({"Cookie": Cookie}, {"Cookie": Cookie, "Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as refused, listening(node, headers):
            pass
        assert refused.value.response.status_code == 403


# -- scopes ------------------------------------------------------------------------------------------------------------


def test_a_key_does_what_its_scopes_say(node: RunningNode) -> None:
    keys = {scope: bearer(made_key(node, scope)[1]) for scope in ("ingest", "query", "admin")}
    line = {"timestamp": "2026-04-02T10:00:00Z"}
    requests = {
        "ingest": ("POST", "/v1/logs", line),
        "query": ("POST", "/v1/query", {"sql": "SELECT count(*) AS n FROM logs"}),
        "admin": ("POST", "/v1/deadletters/redrive", {"preview": True}),
    }
    for shown, key in keys.items():
        for needed, (method, path, body) in requests.items():
            answer = asked(node, method, path, body, **key)
            assert answer.status == (200 if shown == needed else 403), (shown, needed, answer.body)
            assert shown == needed or answer.json["error"]["code"] == "forbidden"
        assert asked(node, "GET", "/openapi.json", **key).status == 200
        assert asked(node, "PUT", "/v1/views", **key).status == 405


def test_a_key_of_one_stream_reads_that_stream(node: RunningNode) -> None:
    _, secret = made_key(node, "query:errors")
    key = bearer(secret)

    def status(method: str, path: str, body: Any = None) -> int:
        return asked(node, method, path, body, **key).status

    assert {view["name"] for view in asked(node, "GET", "/v1/views", **key).json["views"]} == {"failed", "crashed"}
    assert {each["name"] for each in asked(node, "GET", "/v1/streams", **key).json["streams"]} == {"errors", "crashes"}
    assert status("GET", "/v1/views/failed") == status("GET", "/v1/views/crashed") == 200
    position = asked(node, "GET", "/v1/views/failed", **key).json["position_token"]
    assert status("GET", f"/v1/views/failed?at={position}") == 200
    for path in ("/v1/views/seen", f"/v1/views/seen?at={position}", "/v1/views/nobody", "/v1/views/seen/diff"):
        assert status("GET", path) == 403, path
    assert status("GET", "/v1/explain/seen?window=2026-04-01T10:00:00Z") == 403
    assert status("GET", "/v1/explain/failed?window=2026-04-01T10:00:00Z") == 200
    rows = asked(node, "POST", "/v1/query", {"sql": "SELECT min(status) AS least FROM errors"}, **key)
    assert rows.json["rows"] == [[500]]
    assert status("POST", "/v1/query", {"sql": "SELECT * FROM failed JOIN crashes USING (endpoint)"}) == 200
    for sql in (
        "FROM logs",
        "FROM seen",
        "SELECT (SELECT count(*) FROM LOGS) FROM failed",
        "EXPLAIN FROM logs",
        "DESCRIBE logs",
    ):
        assert status("POST", "/v1/query", {"sql": sql}) == 403, sql
    shown = asked(node, "POST", "/v1/query", {"sql": "SHOW TABLES"}, **key).json["rows"]
    assert {row[0] for row in shown} == {"errors", "crashes", "failed", "crashed"}
    for path in ("/v1/tail", "/v1/tail?stream=logs", "/metrics", "/v1/deadletters", "/v1/deadletters/0-1", "/v1/users"):
        assert status("GET", path) == 403, path
    assert status("POST", "/v1/views/failed/rebuild") == 403
    pipeline = asked(node, "GET", "/v1/pipeline", **key).json
    assert {view["name"] for view in pipeline["views"]} == {"failed", "crashed"}
    assert pipeline["dead_letters"]["recent"] == []
    assert tailed(node, "/v1/tail?stream=errors", key) == {500, 503}


def tailed(node: RunningNode, path: str, key: dict[str, str]) -> set[int]:
    """Statuses of the records that a tail begins with."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        connection.request("GET", path, headers=key)
        answer = connection.getresponse()
        found: set[int] = set()
        while len(found) < 2:
            line = answer.readline()
            if line.startswith(b"data:"):
                found.add(json.loads(line[5:])["status"])
        return found
    finally:
        connection.close()


def test_pins_of_a_view_one_may_not_read_are_not_there(node: RunningNode) -> None:
    _, secret = made_key(node, "query:errors")
    key, own = bearer(secret), bearer(node.key)
    hidden = asked(node, "POST", "/v1/pins", {"view": "seen", "query": {}}, **own).json["id"]
    assert asked(node, "POST", "/v1/pins", {"view": "seen", "query": {}}, **key).status == 403
    kept = asked(node, "POST", "/v1/pins", {"view": "failed", "query": {}}, **key).json["id"]
    assert [pin["id"] for pin in asked(node, "GET", "/v1/pins", **key).json["pins"]] == [kept]
    assert asked(node, "GET", f"/v1/pins/{hidden}", **key).status == 403
    assert asked(node, "DELETE", f"/v1/pins/{hidden}", **key).status == 403
    assert asked(node, "GET", f"/v1/pins/{kept}", **key).status == 200
    assert asked(node, "DELETE", f"/v1/pins/{kept}", **key).status == 200


def test_a_key_may_administer_the_views_of_one_stream(node: RunningNode) -> None:
    _, secret = made_key(node, "admin:errors")
    key = bearer(secret)
    assert asked(node, "POST", "/v1/views/seen/rebuild", **key).status == 403
    assert asked(node, "POST", "/v1/views/crashed/rebuild", **key).status == 202
    assert asked(node, "GET", "/v1/keys", **key).status == 403
    noted = asked(node, "GET", "/v1/audit", **bearer(node.key)).json["entries"]
    assert [(e["outcome"], e["action"]) for e in noted if e["action"].startswith("POST /v1/views/")][:2] == [
        ("done", "POST /v1/views/crashed/rebuild"),
        ("403", "POST /v1/views/seen/rebuild"),
    ]


def test_the_kinesis_api_asks_for_scopes_too(node: RunningNode) -> None:
    key_id, secret = made_key(node, signs=True)
    writer = client_of(node.port, key_id, secret)
    record = {"Data": b'{"timestamp":"2026-04-03T10:00:00Z"}', "PartitionKey": "a", "StreamName": "logs"}
    assert writer.put_record(**record)["ShardId"]
    resize = {"StreamName": "logs", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}
    for call in (lambda: writer.list_shards(StreamName="logs"), lambda: writer.update_shard_count(**resize)):
        with pytest.raises(writer.exceptions.ClientError, match="AccessDenied"):
            call()
    reader_id, reader_secret = made_key(node, "query", signs=True)
    reader = client_of(node.port, reader_id, reader_secret)
    assert reader.list_shards(StreamName="logs")["Shards"]
    with pytest.raises(reader.exceptions.ClientError, match="AccessDenied"):
        reader.put_record(**record)
    plain_id, plain = made_key(node)
    with pytest.raises(reader.exceptions.ClientError, match="UnrecognizedClient"):
        client_of(node.port, plain_id, plain).put_record(**record)
    revoke(node, key_id)

    def is_refused() -> bool:
        try:
            writer.put_record(**record)
        except writer.exceptions.ClientError as error:
            return "UnrecognizedClient" in str(error)
        return False

    until(is_refused, lambda: "the revoked key still signs")


# -- what ends ---------------------------------------------------------------------------------------------------------


def listening(node: RunningNode, headers: dict[str, str]) -> ClientConnection:
    origin = headers.pop("Origin", None)
    return connect(
        f"ws://127.0.0.1:{node.port}/v1/live",
        additional_headers=headers,
        origin=origin,
        open_timeout=60,  # type: ignore[arg-type]
    )


def test_a_revoked_key_is_refused_everywhere_and_what_it_has_open_is_cut_off(node: RunningNode) -> None:
    key_id, secret = made_key(node, "query")
    tail = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    tail.request("GET", "/v1/tail", headers=bearer(secret))
    stream = tail.getresponse()
    assert stream.readline().startswith(b":")
    with listening(node, bearer(secret)) as live:
        assert json.loads(live.recv())["kind"] == "heartbeat"
        revoke(node, key_id)
        assert closed_with(live) == 1008
    with pytest.raises(http.client.IncompleteRead):
        stream.read()
    tail.close()
    # Each connection may be taken by another of the ingest processes.
    assert {asked(node, "GET", "/v1/views", **bearer(secret)).status for _ in range(12)} == {401}


def closed_with(live: ClientConnection) -> int | None:
    """The code with which the node closes it, whatever it sends before."""
    try:
        while True:
            live.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_live_frames_of_a_view_one_may_not_read_are_refused(node: RunningNode) -> None:
    _, secret = made_key(node, "query:errors")
    with listening(node, bearer(secret)) as live:
        for view in ("seen", "failed"):
            live.send(json.dumps({"op": "subscribe", "sub": view, "view": view, "over": "3650d", "total": True}))
        found: dict[str, str] = {}
        while len(found) < 2:
            frame = json.loads(live.recv(timeout=60))
            if "sub" in frame:
                found[frame["sub"]] = frame["kind"]
        assert found["seen"] == "error"
        assert found["failed"] != "error"


def test_a_new_password_ends_the_sessions_and_a_removed_user_is_gone(node: RunningNode) -> None:
    own = bearer(node.key)
    made = asked(node, "POST", "/v1/users", {"name": "grace", "scopes": ["query"]}, **own)
    assert made.status == 201
    assert made.headers["cache-control"] == "no-store"
    first, second = (cookie_of(log_in(node, "grace", made.json["password"])) for _ in range(2))
    change = {"current": made.json["password"], "new": "another long password"}
    assert asked(node, "POST", "/v1/password", {**change, "current": "wrong"}, Cookie=first).status == 403
    assert asked(node, "POST", "/v1/password", change, Cookie=first).json["sessions_ended"] == 1
    until(lambda: asked(node, "GET", "/v1/views", Cookie=second).status == 401, lambda: "the other session goes on")
    assert asked(node, "GET", "/v1/views", Cookie=first).status == 200
    assert asked(node, "GET", "/v1/users", Cookie=first).status == 403
    assert asked(node, "PATCH", "/v1/users/grace", {"scopes": ["admin"]}, Cookie=first).status == 403
    listed = asked(node, "GET", "/v1/sessions", **own).json["sessions"]
    session = next(each for each in listed if each["name"] == "grace")
    assert asked(node, "DELETE", f"/v1/sessions/{session['id']}", **own).json["ended"]
    until(lambda: asked(node, "GET", "/v1/views", Cookie=first).status == 401, lambda: "the session goes on")
    third = cookie_of(log_in(node, "grace", "another long password"))
    assert asked(node, "DELETE", "/v1/users/grace", **own).status == 200
    until(lambda: asked(node, "GET", "/v1/views", Cookie=third).status == 401, lambda: "the removed user goes on")
    assert asked(node, "DELETE", "/v1/users/ada", **own).status == 409, "the last one who may administer"


def test_keys_are_made_and_revoked_over_http(node: RunningNode) -> None:
    own = bearer(node.key)
    made = asked(node, "POST", "/v1/keys", {"name": "reports", "scopes": ["query"], "expires": "90d"}, **own)
    assert made.status == 201
    secret = made.json["secret"]
    assert asked(node, "GET", "/v1/views", **bearer(secret)).status == 200
    listed = asked(node, "GET", "/v1/keys", **own)
    assert secret.encode() not in listed.body
    assert made.json["id"] in {key["id"] for key in listed.json["keys"]}
    assert asked(node, "DELETE", f"/v1/keys/{made.json['id']}", **own).json["revoked"]
    until(lambda: asked(node, "GET", "/v1/views", **bearer(secret)).status == 401, lambda: "the key goes on")


# -- what is written down ----------------------------------------------------------------------------------------------


def test_no_secret_is_written_down_and_who_did_what_is(node: RunningNode) -> None:
    key_id, secret = made_key(node, "query")
    wrong = "a wrong password, typed in"
    assert log_in(node, wrong, wrong).status == 401
    token = cookie_of(log_in(node)).partition("=")[2]
    assert asked(node, "GET", "/v1/views", **bearer(secret)).status == 200
    entries = asked(node, "GET", "/v1/audit?limit=5", **bearer(node.key)).json["entries"]
    told = {(entry["actor"].partition(":")[0], entry["action"], entry["outcome"]) for entry in entries}
    assert {("user", "login", "done"), ("unknown", "login", "refused"), ("key", "key.add", "done")} <= told
    assert next(entry["target"] for entry in entries if entry["action"] == "key.add") == key_id
    logs = "".join(path.read_text(errors="replace") for path in (node.data_dir / "run").glob("*.log"))
    assert '"action":"login"' in logs
    audit = json.dumps(asked(node, "GET", "/v1/audit?limit=1000", **bearer(node.key)).json)
    pages = [
        asked(node, "GET", path, **bearer(node.key)).body.decode() for path in ("/v1/keys", "/v1/users", "/v1/sessions")
    ]
    for text in (logs, node.log_path.read_text(), audit, *pages):
        for hidden in (secret, token, wrong, PASSWORD, node.key):
            assert hidden not in text


def test_commands_on_the_machine_itself_need_no_key(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """They find that of the run, which only the owner of the data folder can read."""
    from tailrace.cli.access import key_for

    monkeypatch.delenv("TAILRACE_KEY", raising=False)
    folder: Path = node.data_dir.parent
    if not (folder / "tailrace-data").exists():
        (folder / "tailrace-data").symlink_to(node.data_dir)
    running = json.loads((node.data_dir / "run" / "tailrace.json").read_bytes())
    key = key_for(running["url"], folder)
    assert asked(node, "GET", "/v1/users", **bearer(key)).status == 200
    assert key_for("http://elsewhere:8080", folder) == ""
    assert (node.data_dir / "run" / "settings.json").stat().st_mode & 0o077 == 0
