"""Rows merged over the keys that nobody asks for: exactly what one count over the records gives, live and over HTTP alike."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tailrace.errors import Invalid
from tailrace.serving.merge import ViewQuery
from tailrace.serving.subscribe import Subscription, live_query
from tests.oracle.rig import Rig

NOW_MS = 1_795_341_600_000
RECORDS = [
    {"timestamp": NOW_MS, "endpoint": endpoint, "status": status}
    for endpoint, status in [("/a", 200), ("/a", 500), ("/b", 200), ("/b", 200), ("/c", 500)]
]


def counts(rig: Rig, *by: str) -> dict[tuple[object, ...], int]:
    columns, rows = rig.rows("status_by_endpoint", ViewQuery(total=True, by=by))
    keys = [columns.index(name) for name in by]
    return {tuple(row[key] for key in keys): row[columns.index("requests")] for row in rows}


def test_rows_are_merged_over_the_keys_that_are_left_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        rig.put([json.dumps(record).encode() for record in RECORDS])
        rig.look()
        rig.settle()
        assert counts(rig, "status") == {(k,): n for k, n in Counter(r["status"] for r in RECORDS).items()}
        assert counts(rig, "endpoint") == {(k,): n for k, n in Counter(r["endpoint"] for r in RECORDS).items()}
        assert counts(rig) == {(): len(RECORDS)}
        with pytest.raises(Invalid, match="colour"):
            counts(rig, "colour")
    finally:
        rig.close()


def test_a_subscription_takes_the_keys_along() -> None:
    wish = Subscription(view="status_by_endpoint", over="5m", total=True, keys=("status",))
    assert live_query(wish, 10_000_000, NOW_MS * 1000).by == ("status",)
