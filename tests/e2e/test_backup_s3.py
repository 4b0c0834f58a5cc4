"""Backups in a real S3 server: taken under load, put back, refused where damaged, and without a word of the secret anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.config.settings import Settings
from tailrace.testing.node import RunningNode
from tests.e2e.nodes import QUICK
from tests.e2e.object_store import BUCKET, SECRET, ObjectStore, object_store
from tests.e2e.test_backup import Load, load_answer, tailrace, until_moved
from tests.e2e.waiting import count_of, until, until_covered
from tests.pipeline.test_backup import opened, put

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("s3") / "weed") as running:
        yield running


def test_a_backup_under_load_goes_on_from_s3(tmp_path: Path, store: ObjectStore) -> None:
    place = [f"s3://{BUCKET}/under/load", "--endpoint-url", store.endpoint]
    config = tmp_path / "tailrace.toml"
    config.write_text(QUICK)
    with RunningNode(tmp_path / "data", env=store.env, config=config) as node:
        node.post_logs(b"no json")
        load = Load(node)
        try:
            until(lambda: load.acknowledged > 50, lambda: load.acknowledged)
            until_moved(node)
            before = load.acknowledged
            taken = tailrace(tmp_path, "backup", *place, "--data", "data", env=store.env)
            after = load.acknowledged
        finally:
            load.stop()
        assert after > before, "posts went on"
    again = tailrace(tmp_path, "backup", *place, "--data", "data", code=2, env=store.env)
    assert "holds a backup already" in again["error"]["message"]

    restored = tailrace(tmp_path, "restore", *place, "--data", "back", env=store.env)
    assert (restored["files"], restored["bytes"]) == (taken["files"], taken["bytes"])
    with RunningNode(tmp_path / "back", config=config) as node:
        state = until_covered(node)
        count = count_of(node)
        assert before * 10 <= count <= (after + 1) * 10
        assert state["ledger"]["balanced"]
        assert state["ledger"]["dead_lettered"] == 1
        assert load_answer(node, before - 1)["deduplicated"] == 10
        assert load_answer(node, 10**6)["accepted"] == 10
        until(lambda: count_of(node) == count + 10, lambda: count_of(node))
    said = b"".join(path.read_bytes() for path in (*tmp_path.rglob("*.log"), store.log))
    assert said
    assert SECRET.encode() not in said
    kept = (path for folder in ("data", "back") for path in (tmp_path / folder).rglob("*") if path.is_file())
    assert all(SECRET.encode() not in path.read_bytes() for path in kept)


def test_what_was_damaged_or_cut_short_in_s3_is_not_put_back(tmp_path: Path, store: ObjectStore) -> None:
    place = [f"s3://{BUCKET}/damaged", "--endpoint-url", store.endpoint]
    stream = opened(Settings(data_dir=tmp_path / "data", views_dir=tmp_path / "views"))
    put(stream, 0)
    stream.close()
    tailrace(tmp_path, "backup", *place, "--data", "data", env=store.env)
    files = store.files()
    (path,) = sorted(path for path in (tmp_path / "data" / "stream" / "logs").glob("*0/*.db"))
    name = f"{BUCKET}/damaged/{path.relative_to(tmp_path / 'data').as_posix()}"
    with files.open_input_stream(name) as source:
        data = bytearray(source.read())
    data[len(data) // 2] ^= 1
    with files.open_output_stream(name) as sink:
        sink.write(bytes(data))
    refused = tailrace(tmp_path, "restore", *place, "--data", "fresh", code=3, env=store.env)
    assert refused["error"]["code"] == "corrupt"
    assert path.name in refused["error"]["message"]
    files.delete_file(f"{BUCKET}/damaged/backup.json")
    missing = tailrace(tmp_path, "restore", *place, "--data", "other", code=2, env=store.env)
    assert "backup.json" in missing["error"]["message"]


@pytest.mark.parametrize(
    ("target", "endpoint", "env", "code"),
    [
        (f"s3://{BUCKET}/x", None, {"AWS_SECRET_ACCESS_KEY": "wrong"}, 3),
        (f"s3://{BUCKET}/x", "http://127.0.0.1:9", {}, 3),
        (f"s3://{BUCKET}/x", "127.0.0.1:9", {}, 2),
        (f"s3://{BUCKET}/x", f"http://me:{SECRET.replace('/', '')}@127.0.0.1:9", {}, 2),
        (f"s3://me:{SECRET.replace('/', '')}@{BUCKET}/x", None, {}, 2),
        ("s3://", None, {}, 2),
    ],
)
def test_a_place_that_cannot_be_used_is_told_with_the_next_step(
    target: str, endpoint: str | None, env: dict[str, str], code: int, tmp_path: Path, store: ObjectStore
) -> None:
    (tmp_path / "data" / "stream" / "logs").mkdir(parents=True)
    words = ["backup", target, "--data", "data", "--endpoint-url", endpoint or store.endpoint, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tailrace.cli.main", *words],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env={**os.environ, **store.env, **env},
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    said = done.stdout + done.stderr
    assert '"hint"' in said
    assert SECRET.replace("/", "") not in said
    assert SECRET not in said
