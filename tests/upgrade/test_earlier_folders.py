"""This version on data folders of earlier ones: every number is the same, posts and epochs go on; one from the future is refused."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.node import RunningNode, free_port
from tests.e2e.waiting import until, until_covered
from tests.kinesis.conftest import client_of
from tests.kinesis.reading import read_all
from tests.upgrade.make_folder import BYTES_MAX, FOLDERS, SETTINGS, answers, post

EARLIER = sorted(path.name.removesuffix(".tar.gz") for path in FOLDERS.glob("*.tar.gz"))
KEPT = SETTINGS + "[retention]\nstream_age_s = 0\ndead_letters_age_s = 0\nlake_age_s = 0\nstates_age_s = 0\n"
"""What was written once must not go because the test is run years later."""


def unpacked(name: str, folder: Path) -> dict[str, Any]:
    """The data folder at `folder`; returns what the earlier version answered."""
    with tarfile.open(FOLDERS / f"{name}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not before Python 3.11.4
        archive.extractall(folder)
    told: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    (folder / "answers.json").unlink()
    (folder.parent / "tailrace.toml").write_text(KEPT)
    return told


def plain(value: Any) -> Any:
    """As it stands in `answers.json`."""
    return json.loads(json.dumps(value, default=str))


@pytest.mark.slow
@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_folder_is_gone_on_with(name: str, tmp_path: Path) -> None:
    told = unpacked(name, tmp_path / "data")
    with RunningNode(tmp_path / "data", config=tmp_path / "tailrace.toml") as node:
        until_covered(node)
        assert plain(answers(node)) == told
        frontier = node.pipeline()["frontier"]

        assert post(node, 1)["deduplicated"] in (0, 43)  # stamps are remembered for a time of their own
        before = answers(node)["ledger"]
        assert post(node, 9)["accepted"] == 41
        state = until_covered(node)
        until(lambda: any(epoch > frontier[s] for s, epoch in node.pipeline()["frontier"].items()), node.pipeline)
        after = answers(node)
        assert after["ledger"]["stored"] == before["stored"] + 41
        assert after["ledger"]["dead_lettered"] == before["dead_lettered"] + 2
        assert after["ledger"]["balanced"]
        assert all(view["drift_rows"] == 0 for view in state["views"])
        shards = [shard["id"] for shard in node.get("/v1/shards").json["shards"]]
        records = [record for shard in shards for record in read_all(client_of(node.port), shard)]
        assert len(records) == after["ledger"]["stored"] + after["ledger"]["dead_lettered"]
        assert all(record["PartitionKey"] for record in records), (
            "blocks of then have no keys: the line's MD5 stands for it"
        )
        assert sum(row[1] for row in after["views"]["overall_health"]["rows"]) == after["ledger"]["stored"]
        split = node.request("POST", f"/v1/shards/{min(frontier)}/split")
        assert split.status == 200, split.body
        assert post(node, 10)["accepted"] == 41
        until(lambda: answers(node)["ledger"]["stored"] == before["stored"] + 82, lambda: answers(node)["ledger"])
        assert until_covered(node)["ledger"]["balanced"]
    again = Decimal(str(after["query"][0][0]))
    assert again == after["ledger"]["stored"]


def shards_of_the_future(data: Path) -> None:
    path = next(data.glob("stream/**/shards.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))


def stream_file_of_the_future(data: Path) -> None:
    for path in data.glob("stream/**/*.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE about SET schema_version = 99")
            connection.commit()


@pytest.mark.parametrize("change", [shards_of_the_future, stream_file_of_the_future])
def test_a_folder_of_a_later_version_is_left_as_it_is(change: Callable[[Path], None], tmp_path: Path) -> None:
    unpacked(EARLIER[0], tmp_path / "data")
    change(tmp_path / "data")
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file() and p.suffix != ".db-shm"}
    command = [
        sys.executable,
        "-m",
        "tailrace.cli.main",
        "up",
        "--data",
        "data",
        "--listen",
        f"127.0.0.1:{free_port()}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 3, said
    assert "version `99`" in said
    assert "a newer Tailrace has written it" in said
    assert "start the folder with that version" in said
    assert {p: p.read_bytes() for p in before if p.is_file()} == before


def test_the_folders_are_small() -> None:
    assert EARLIER
    assert sum((FOLDERS / f"{name}.tar.gz").stat().st_size for name in EARLIER) <= BYTES_MAX
