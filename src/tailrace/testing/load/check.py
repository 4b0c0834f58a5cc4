"""Ask a node for every row of the checked views, and for its ledger, and say what is not as it must be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import Unavailable
from tailrace.runtime.clock import SystemClock
from tailrace.testing.load.checked_views import CheckedView
from tailrace.testing.load.compare import differences, part, slices
from tailrace.testing.load.expected import Expected, Rows
from tailrace.testing.node import RunningNode

ARROW = "application/vnd.apache.arrow.stream"
FRESH_S_MAX = 120.0
_CLOCK = SystemClock()


def check_views(node: RunningNode, views: Sequence[CheckedView], must: Expected) -> list[str]:
    """Differences of all views, a line each. The node may still be reading: an answer that lacks records is asked for again."""
    return [difference for view in views for difference in check_view(node, view, must.rows[view.name])]


def check_view(node: RunningNode, view: CheckedView, rows: Rows) -> list[str]:
    """Only an answer with as many records as there must be, or more, or the last within two minutes, is judged."""
    wanted, deadline_s = int(rows.measures["count"].sum()), _CLOCK.monotonic_s() + FRESH_S_MAX
    while True:
        found, wrong = 0, list[str]()
        for from_ms, to_ms in slices(view, rows):
            table = whole_view(node, view.name, from_ms, to_ms)
            found += _records(view, table)
            wrong += differences(view, part(view, rows, from_ms, to_ms), table)
        if not wrong or found >= wanted or _CLOCK.monotonic_s() >= deadline_s:
            return wrong if found == wanted else [f"{view.name}: {found} records, must be {wanted}", *wrong]
        _CLOCK.sleep(0.5)


def whole_view(node: RunningNode, name: str, from_ms: int | None, to_ms: int | None) -> pa.Table:
    """All rows of windows that start in [from, to). Raises Unavailable if the answer is an error."""
    bounds = {"from": from_ms, "to": to_ms}
    asked = urlencode({word: _iso(ms) for word, ms in bounds.items() if ms is not None})
    answer = node.request("GET", f"/v1/views/{name}?{asked}", headers={"Accept": ARROW})
    if answer.status != 200:
        raise Unavailable(f"view `{name}` answered {answer.status}: {answer.body[:500].decode(errors='replace')}")
    with pa.ipc.open_stream(answer.body) as stream:
        return stream.read_all()


def _records(view: CheckedView, table: pa.Table) -> int:
    column = next(name for name, measure in view.columns.items() if measure == "count")
    return int(pc.sum(table[column]).as_py() or 0)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def check_records(node: RunningNode, must: Expected) -> list[str]:
    """SQL over `logs`, the lake and what it does not hold yet, counts each record once. The query process may be just starting."""
    body = json.dumps({"sql": "SELECT count(*) AS n FROM logs"}).encode()
    deadline_s = _CLOCK.monotonic_s() + FRESH_S_MAX
    while (answer := node.request("POST", "/v1/query", body)).status == 503 and _CLOCK.monotonic_s() < deadline_s:
        _CLOCK.sleep(0.5)
    if answer.status != 200:
        return [f"query: answered {answer.status}: {answer.body[:500].decode(errors='replace')}"]
    found = answer.json["rows"][0][0]
    return [] if found == must.stored else [f"query: logs has {found} records, must be {must.stored}"]


def check_ledger(state: Mapping[str, Any], must: Expected, counts: Mapping[str, int]) -> list[str]:
    """`state`: of `/v1/pipeline`. `counts`: of the senders. What was sent again and not answered may have counted or not."""
    book = state["ledger"]
    low, high = counts["deduplicated"], counts["deduplicated"] + counts["uncertain"]
    wrong = [
        f"ledger: {name} is {book[name]}, must be {value}"
        for name, value in {
            "stored": must.stored,
            "dead_lettered": must.dead,
            "received": book["stored"] + book["dead_lettered"] + book["deduplicated"],
        }.items()
        if book[name] != value
    ]
    if not low <= book["deduplicated"] <= high:
        wrong.append(f"ledger: deduplicated is {book['deduplicated']}, must be from {low} to {high}")
    if not book["balanced"]:
        wrong.append(f"ledger: stages differ: {book['first_difference']}")
    wrong += [f"drift: {v['drift_rows']} rows of {v['name']}" for v in state["views"] if v["drift_rows"]]
    return wrong


def check_covered(state: Mapping[str, Any]) -> list[str]:
    """Once batch has covered everything: it and the lake hold all that is stored."""
    book, lake = state["ledger"], state["lake"]
    held = {"batch": book["batch"], "lake": lake["rows"] + lake["let_go_rows"]}
    return [f"{name} holds {rows}, must be {book['stored']}" for name, rows in held.items() if rows != book["stored"]]


def is_covered(state: Mapping[str, Any]) -> bool:
    """Whether the frontier is at the end of every shard."""
    lags = [shard["batch_lag_lines"] or shard["speed_lag_lines"] for shard in state["shards"]]
    return not any(lags) and bool(state["ledger"]["batch"] == state["ledger"]["stored"])
