"""Dashboards, annotations and the catalog of a real node: over HTTP, by command, and as files that somebody edits meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tailrace.cli.main import main
from tailrace.dashboard.boards.expression import parse_field
from tailrace.dashboard.boards.model import ViewData
from tailrace.dashboard.boards.store import shipped
from tailrace.testing.node import Answer, RunningNode
from tests.e2e.waiting import until, until_covered

BOARD: dict[str, Any] = {"uid": "checkout", "title": "Checkout", "panels": [{"id": "a", "kind": "text"}]}
WISHES: list[dict[str, Any]] = [
    {"total": True},
    {"step": "1m"},
    {"where": "endpoint = '/board/1'", "step": "1m"},
    {"top": {"by": "requests", "n": 2}, "total": True},
    {"top": {"by": "requests", "n": 2, "key": "endpoint"}, "step": "10s"},
]
CHOSEN = "endpoint IN ('/board/1')"


@pytest.fixture(autouse=True)
def clean(node: RunningNode) -> Iterator[None]:
    yield
    for file in folder(node).glob("*.json"):
        file.unlink()


def folder(node: RunningNode) -> Path:
    return node.data_dir / "dashboards"


def put(node: RunningNode, board: dict[str, Any], query: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return node.request("PUT", f"/v1/dashboards/{board['uid']}{query}", json.dumps(board).encode(), named)


class Commands:
    """Run here, in this process: starting one for each would take most of the time."""

    def __init__(self, node: RunningNode, output: pytest.CaptureFixture[str]) -> None:
        self._url = f"http://127.0.0.1:{node.port}"
        self._output = output

    def __call__(self, *words: str, code: int = 0) -> Any:
        return self.offline(*words, "--url", self._url, code=code)

    def offline(self, *words: str, code: int = 0) -> Any:
        self._output.readouterr()
        assert main([*words, "--json"]) == code
        said = self._output.readouterr()
        return json.loads(said.out or said.err)


@pytest.fixture
def tailrace(node: RunningNode, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(node, capsys)


def test_a_dashboard_is_saved_read_listed_and_removed(node: RunningNode) -> None:
    saved = put(node, BOARD, If_None_Match="*").json
    assert saved["dashboard"]["panels"][0]["place"] == {"x": 0, "y": 0, "w": 8, "h": 6}, "with every member"
    assert json.loads((folder(node) / "checkout.json").read_text()) == saved["dashboard"]
    assert node.get("/v1/dashboards/checkout").json == saved
    rows = {row["uid"]: row for row in node.get("/v1/dashboards").json["dashboards"]}
    assert (rows["checkout"]["source"], rows["checkout"]["revision"]) == ("own", saved["revision"])
    assert rows["service-health"]["source"] == "shipped"
    assert node.request("DELETE", "/v1/dashboards/checkout").json == {"uid": "checkout", "removed": True, "now": None}
    assert node.get("/v1/dashboards/checkout").status == 404
    (version,) = node.get("/v1/dashboards/checkout/versions").json["versions"][:1]
    restored = node.get(f"/v1/dashboards/checkout/versions/{version['n']}").json["dashboard"]
    assert put(node, restored).json["dashboard"] == saved["dashboard"], "it can be brought back"


def test_two_who_save_do_not_overwrite_each_other(node: RunningNode) -> None:
    first = put(node, BOARD).json["revision"]
    second = put(node, BOARD | {"title": "Mine"}, If_Match=f'"{first}"')
    assert second.status == 200
    refused = put(node, BOARD | {"title": "Theirs"}, If_Match=f'"{first}"')
    assert (refused.status, refused.json["error"]["code"]) == (409, "conflict")
    assert refused.json["error"]["revision"] == second.json["revision"]
    assert put(node, BOARD, If_None_Match="*").status == 409
    assert put(node, BOARD, If_Match="*").status == 400
    assert node.get("/v1/dashboards/checkout").json["dashboard"]["title"] == "Mine"


def test_a_file_that_is_edited_broken_and_mended_is_followed(node: RunningNode) -> None:
    put(node, BOARD)
    file = folder(node) / "checkout.json"
    file.write_text(json.dumps(BOARD | {"title": "By hand"}))
    assert node.get("/v1/dashboards/checkout").json["dashboard"]["title"] == "By hand"
    file.write_text('{"uid": "checkout", "title": ')
    broken = node.get("/v1/dashboards/checkout")
    assert (broken.status, broken.json["error"]["code"]) == (500, "corrupt")
    rows = {row["uid"]: row for row in node.get("/v1/dashboards").json["dashboards"]}
    assert "not JSON" in rows["checkout"]["error"]["message"]
    assert rows["service-health"]["error"] is None
    assert put(node, BOARD).status == 409
    assert file.read_text() == '{"uid": "checkout", "title": '
    file.write_text(json.dumps(BOARD))
    assert node.get("/v1/dashboards/checkout").status == 200


@pytest.mark.parametrize(
    ("board", "said"),
    [
        (BOARD | {"uid": "other"}, "`uid`"),
        (BOARD | {"panels": [{"id": "a", "kind": "pie"}]}, "`panels[0].kind`"),
        (BOARD | {"panels": [{"id": "a", "kind": "line", "data": {"view": 1}}]}, "`panels[0].data.view`"),
    ],
)
def test_mistakes_are_told_with_their_place(node: RunningNode, board: dict[str, Any], said: str) -> None:
    answer = node.request("PUT", "/v1/dashboards/checkout", json.dumps(board).encode())
    assert answer.status == 400
    assert said in answer.json["error"]["message"]


def test_dashboards_by_command(node: RunningNode, tailrace: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkout.json"
    file.write_text(json.dumps(BOARD))
    checked = tailrace.offline("dashboards", "check", str(file))
    assert checked["files"][0]["error"] is None
    saved = tailrace("dashboards", "import", str(file))["saved"]
    assert saved == [{"file": str(file), "uid": "checkout", "revision": saved[0]["revision"]}]
    assert "--replace" in tailrace("dashboards", "import", str(file), code=2)["error"]["hint"]
    file.write_text(json.dumps(BOARD | {"title": "Again"}))
    tailrace("dashboards", "import", str(file), "--replace")
    tailrace("dashboards", "export", "checkout", "--output", str(file))
    assert file.read_bytes() == (folder(node) / "checkout.json").read_bytes()
    assert tailrace("dashboards", "show", "checkout")["dashboard"]["title"] == "Again"
    assert tailrace("dashboards", "show", "checkout", "--versions")["versions"][0]["revision"] == saved[0]["revision"]
    listed = tailrace("dashboards", "list")["dashboards"]
    assert [row["uid"] for row in listed] == ["checkout", "service-health"]
    assert tailrace("dashboards", "delete", "checkout")["removed"]
    assert tailrace("dashboards", "delete", "checkout", code=2)["error"]["code"] == "not_found"
    assert tailrace.offline("dashboards", "schema") == node.get("/v1/dashboards/schema").json


def test_annotations_are_told_asked_for_and_removed(node: RunningNode, tailrace: Commands) -> None:
    told = tailrace("annotate", "checkout 42", "--tag", "checkout", "--at", "2026-06-01T00:00:00Z")
    answer = node.get("/v1/annotations", **{"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}).json
    assert answer == {"annotations": [told], "truncated": False}
    assert (told["kind"], told["tags"], told["until"]) == ("deploy", ["checkout"], None)
    assert node.request("DELETE", f"/v1/annotations/{told['id']}").status == 200
    assert node.request("DELETE", f"/v1/annotations/{told['id']}").status == 404


def test_the_catalog_names_what_sql_can_name(node: RunningNode) -> None:
    catalog = node.get("/v1/catalog").json
    tables = {table["name"]: table for table in catalog["tables"]}
    view = {column["name"]: column for column in tables["endpoint_health"]["columns"]}
    assert (view["endpoint"]["key"], view["response_ms_avg"]["key"], view["response_ms_avg"]["unit"]) == (
        True,
        False,
        "ms",
    )
    functions = {function["name"] for function in catalog["functions"]}
    assert functions >= {"avg", "time_bucket", "quantile_cont", "regexp_matches", "unnest"}
    assert not functions & {"read_csv", "current_setting", "getvariable", "pg_sleep"}
    for name, table in tables.items():
        names = ", ".join(f'"{column["name"]}"' for column in table["columns"])
        sql = f"SELECT {names} FROM {name} LIMIT 0"
        answer = node.request("POST", "/v1/query", json.dumps({"sql": sql}).encode())
        assert answer.status == 200, answer.body
        assert answer.json["columns"] == [{"name": c["name"], "type": c["type"]} for c in table["columns"]]


def test_every_panel_of_a_shipped_dashboard_can_be_asked(node: RunningNode) -> None:
    post(node, [node.pipeline()["node"]["now"]] * 8)
    until(lambda: "/board/1" in str(node.view("endpoint_health", where=CHOSEN)["rows"]), node.log_end)
    for kept in shipped().values():
        assert kept.dashboard is not None
        for panel in kept.dashboard.panels:
            if isinstance(panel.data, ViewData):
                answer = node.view(panel.data.view, **parameters(panel.data))
                assert answer["rows"], panel.id


def parameters(data: ViewData) -> dict[str, Any]:
    """As a panel asks, with an endpoint chosen."""
    columns = dict.fromkeys(column for text in data.fields for column in parse_field(text).columns)
    if data.order is not None:
        columns[data.order] = None
    found = {"columns": ",".join(columns), "total": data.total or None}
    if data.where is not None:
        found["where"] = data.where.replace("$endpoint", "'/board/1'")
    if data.by is not None and data.order is not None:
        found |= {"top": data.limit, "by": data.order, "key": data.by}
    return {name: value for name, value in found.items() if value is not None}


def test_what_a_panel_shows_live_can_be_asked_again_at_its_position(node: RunningNode) -> None:
    """The frame of each form of subscription, and after more records and a handover the answer at its position: the same rows."""
    stamps = [node.pipeline()["node"]["now"]] * 30
    post(node, stamps)
    shown = [frame(node, wish) for wish in WISHES]
    post(node, stamps)
    until_covered(node)
    for wish, body in zip(WISHES, shown, strict=True):
        again = node.view("endpoint_health", **asked(wish, body), at=body["position_token"])
        assert (again["columns"], again["rows"], again["others"]) == (body["columns"], body["rows"], body["others"]), (
            wish
        )
    assert any(body["rows"] for body in shown)
    others = [node.view("overall_health", total=True, at=shown[0]["position_token"])["rows"] for _ in range(2)]
    assert others[0] == others[1] != node.view("overall_health", total=True)["rows"], "one token serves all views"


def post(node: RunningNode, stamps: list[str]) -> None:
    lines = [{"timestamp": at, "endpoint": f"/board/{n % 4}", "response_ms": n + 0.5} for n, at in enumerate(stamps)]
    assert node.post_logs("\n".join(map(json.dumps, lines)).encode()).status == 200


def frame(node: RunningNode, wish: dict[str, Any]) -> dict[str, Any]:
    """The first frame that has rows."""
    with connect(f"ws://127.0.0.1:{node.port}/v1/live") as socket:
        socket.send(json.dumps({"op": "subscribe", "sub": "a", "view": "endpoint_health", "over": "6h", **wish}))
        while True:
            found: dict[str, Any] = json.loads(socket.recv(timeout=60), parse_float=Decimal)
            assert found["kind"] != "error", found
            if found.get("sub") == "a" and found["rows"]:
                return found


def asked(wish: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a view that say what the subscription said."""
    top = wish.get("top", {})
    from_ = node_from(body["computed_at"], wish.get("step", "10s"))
    found = {"from": from_, "step": wish.get("step"), "total": wish.get("total"), "where": wish.get("where")}
    found |= {"top": top.get("n"), "by": top.get("by"), "key": top.get("key")}
    return {name: value for name, value in found.items() if value is not None}


def node_from(computed_at: str, step: str) -> str:
    """As the live subscription of six hours begins: with the first whole window."""
    from tailrace.model.window import duration_us, iso, parse_iso, window_start_us

    step_us = duration_us(step)
    return iso(window_start_us(parse_iso(computed_at) - duration_us("6h"), step_us) + step_us)
