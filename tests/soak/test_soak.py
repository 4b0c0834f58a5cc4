"""A soak of a few seconds with all that a long one has, and the check against a real node, which must not always say yes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.testing.load.ack_log import Acked
from tailrace.testing.load.check import check_ledger, check_records, check_views
from tailrace.testing.load.checked_views import SHIPPED, USERS_SQL, users_view
from tailrace.testing.load.expected import expected
from tailrace.testing.load.plan import LoadPlan, body_of, lines_of
from tailrace.testing.node import RunningNode
from tests.repo.files import ROOT

pytestmark = [pytest.mark.kill, pytest.mark.slow]

SHORT = (
    "--minutes=0.2",
    "--kills=4",
    "--rate=1500",
    "--users=20000",
    "--senders=2",
    "--checks=1",
    "--seed=7",
    "--json",
)


def test_a_short_soak_finds_every_number_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.run", f"--out={tmp_path}", *SHORT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "summary.json").read_text())
    assert found["wrong"] == []
    assert sum(found["kills"].values()) == 4
    assert (found["clock_steps"], found["checks"]) == (4, 2)
    assert found["splits"] >= 1
    assert found["lines"] > 0
    assert found["disk_full_s"] > 0
    for name in ("samples.ndjson", "happened.ndjson", "acked.ndjson", "soak.svg"):
        assert (tmp_path / name).stat().st_size > 0


def test_the_check_of_a_real_node_says_no_when_a_line_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "users.sql").write_text(USERS_SQL)
    plan = LoadPlan(seed=5, start_ms=1_790_000_000_000, rate=1000, senders=1, lines_per_post=200, users=5000)
    views = (*SHIPPED, users_view(5000))
    counts = {"deduplicated": 200, "uncertain": 0}
    with RunningNode(tmp_path / "data") as node:
        for number in (0, 1, 2, 1):
            answer = node.post_logs(body_of(lines_of(plan, 0, number), number * 200), stamp=plan.stamp(0, number))
            assert answer.status == 200, answer.body
        must = expected(Acked(plan, (3,)), views)
        assert check_views(node, views, must) == []
        assert check_records(node, must) == []
        assert check_ledger(node.pipeline(), must, counts) == []

        line = next(text for text in body_of(lines_of(plan, 0, 0)).split(b"\n") if b'"user"' in text)
        assert node.post_logs(line).status == 200
        wrong = check_views(node, views, must)
        assert {difference.split(":")[0] for difference in wrong} == {view.name for view in views}
        assert check_records(node, must) == [f"query: logs has {must.stored + 1} records, must be {must.stored}"]
        assert check_ledger(node.pipeline(), must, counts) == [
            f"ledger: stored is {must.stored + 1}, must be {must.stored}"
        ]
