"""Have an earlier version of this repository write a small data folder, and keep it beside this file with all its answers.

    python -m tests.upgrade.make_folder COMMIT NAME

Writes `folders/NAME.tar.gz`: the folder of a node that was stopped, with epochs that batch has taken over, others that it has not,
dead letters, retries, late lines; and `answers.json`, what the node answered before it stopped. The version's own source is taken
from git and run with this Python, so its dependencies have to be those of now.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tailrace.testing.node import RunningNode
from tests.e2e.waiting import until, until_covered

HERE = Path(__file__).parent
FOLDERS = HERE / "folders"
ROOT = HERE.parent.parent
BYTES_MAX = 200_000
SETTINGS = """
[stream]
shards = 2
seal_interval_ms = 400
dedupe_horizon_s = 2592000
[batch]
interval_ms = 1000
"""
QUERY = "SELECT count(*) AS n, sum(response_ms) AS s, count(DISTINCT endpoint) AS e, min(timestamp) AS a, max(timestamp) AS b FROM logs"
VIEWS = ("endpoint_health", "overall_health", "records_by_service", "status_by_endpoint", "traffic_by_network")


def main(arguments: list[str]) -> int:
    commit, name = arguments
    with tempfile.TemporaryDirectory(prefix="tailrace-earlier-") as scratch:
        folder = Path(scratch)
        source = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(source)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not before Python 3.11.4
            archive.extractall(folder)
        (folder / "tailrace.toml").write_text(SETTINGS)
        node = RunningNode(folder / "data", config=folder / "tailrace.toml", env={"PYTHONPATH": str(folder / "src")})
        with node:
            fill(node)
            (folder / "data" / "answers.json").write_text(json.dumps(answers(node), indent=1, default=str))
        path = packed(folder / "data", name)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    return int(path.stat().st_size > BYTES_MAX)


def fill(node: RunningNode) -> None:
    """Epochs that batch has taken over, and some on top that it may not have."""
    for number in range(3):
        post(node, number)
        until_covered(node)
    for number in (3, 1):
        post(node, number)
    until(lambda: bool(node.pipeline()["ledger"]["balanced"]), node.pipeline)


def post(node: RunningNode, number: int) -> Any:
    """Forty lines, a late one, and two that are dead letters. Post 1 is sent twice."""
    rows: list[dict[str, object]] = [
        {
            "timestamp": f"2026-04-01T{10 + number:02d}:00:{n % 60:02d}.{n:03d}Z",
            "service": "shop",
            "endpoint": f"/a/{n % 5}",
            "status": 200 + 100 * (n % 4),
            "response_ms": n * 1.25,
            "ip": f"10.0.{n % 3}.7",
            "more": {"n": n},
        }
        for n in range(40)
    ]
    rows.append({"timestamp": "2026-04-01T10:00:00Z", "endpoint": "/late", "response_ms": number})
    body = "\n".join(map(json.dumps, rows)).encode() + b"\nno json\n\xff\xfe{}\n"
    answer = node.post_logs(body, stamp=f"earlier;1;{number}")
    assert answer.status == 200, answer.body
    return answer.json


def answers(node: RunningNode) -> dict[str, Any]:
    """All that has to be the same under a later version, once every process is there to answer."""
    until(lambda: node.request("POST", "/v1/query", b"SELECT 1").status == 200, node.log_end)
    book = node.pipeline()["ledger"]
    letters = node.get("/v1/deadletters", limit=1000).json["dead_letters"]
    found = node.request("POST", "/v1/query", QUERY.encode()).json
    return {
        "views": {name: {k: node.view(name)[k] for k in ("columns", "rows")} for name in VIEWS},
        "ledger": {k: book[k] for k in ("received", "stored", "dead_lettered", "deduplicated", "balanced")},
        "dead_letters": sorted([each["id"], each["shard"], each["reason"]] for each in letters),
        "query": found["rows"],
        "position": node.view("overall_health")["position"],
    }


def packed(folder: Path, name: str) -> Path:
    """The same bytes for the same files."""
    FOLDERS.mkdir(exist_ok=True)
    path = FOLDERS / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=9) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file() and "run" not in p.relative_to(folder).parts):
            archive.add(file, file.relative_to(folder).as_posix())
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
