"""The running node: who holds the folder, who has the port, what it says of itself."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

from tailrace.access.store import has_access
from tailrace.config.handed_on import read_settings
from tailrace.config.listen import url_of
from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.pipeline import lock as data_lock
from tailrace.pipeline import readiness
from tailrace.pipeline.checkup.finding import FAIL, OK, WARN, Finding
from tailrace.pipeline.listen import bind
from tailrace.pipeline.run_file import RunFile, read_run_file


def lock(settings: Settings) -> Finding:
    """Whether a node has the data folder."""
    if not data_lock.is_held(settings.run_dir):
        return Finding("lock", OK, "free: no node runs on this data folder")
    owner = data_lock.read_owner(settings.run_dir / data_lock.FILE_NAME)
    if data_lock.is_alive(owner):
        return Finding("lock", OK, f"held by the node with pid {owner}")
    return Finding(
        "lock",
        WARN,
        f"its owner, pid {owner}, is gone, but processes of it are left",
        "they end by themselves within seconds; else look for tailrace.pipeline.main in ps",
    )


def port(settings: Settings) -> Finding:
    """Whether the node has its port, or could have it."""
    running = running_node(settings)
    if running is not None:
        return Finding("port", OK, f"this folder's node listens on {running.url}")
    where = url_of(settings.listen_host, settings.listen_port)
    try:
        bind(settings.listen_host, settings.listen_port, has_keys=has_access(settings)).close()
    except TailraceError as error:
        return Finding("port", FAIL, error.message, error.hint)
    return Finding("port", OK, f"{where} is free")


def answers(settings: Settings) -> Finding:
    """What a running node says: ready, balanced, without drift, with all its processes."""
    running = running_node(settings)
    if running is None:
        return Finding("node", OK, "not running")
    state = readiness.ask(running.url)
    if not state.ready:
        return Finding("node", FAIL, f"not ready: {state.reason}", f"read the logs in {settings.run_dir}")
    return judge(_pipeline(running.url, settings), running, str(settings.run_dir))


def judge(pipeline: dict[str, Any], running: RunFile, run_dir: str) -> Finding:
    """A ready node by its own `/v1/pipeline`."""
    book = pipeline["ledger"]
    if not book["balanced"]:
        return Finding(
            "node",
            FAIL,
            f"the ledger is off: {book['first_difference']}",
            "see /v1/pipeline; keep the data folder as it is",
        )
    drift = sum(view["drift_rows"] for view in pipeline["views"])
    if drift:
        return Finding(
            "node", FAIL, f"{drift} state rows differed between speed and batch", "see findings in /v1/pipeline"
        )
    restarts = [f"{p.name} {p.restarts}x" for p in running.processes if p.restarts]
    if restarts:
        return Finding(
            "node", WARN, f"processes were started again: {', '.join(restarts)}", f"read the logs in {run_dir}"
        )
    detail = f"ready, pid {running.pid}, {book['stored']:,} records stored, ledger balanced, no drift"
    return Finding("node", OK, detail)


def running_node(settings: Settings) -> RunFile | None:
    found = read_run_file(settings.run_dir)
    return (
        found if found is not None and data_lock.is_alive(found.pid) and data_lock.is_held(settings.run_dir) else None
    )


def _pipeline(url: str, settings: Settings) -> dict[str, Any]:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        key = read_settings(settings.data_dir).local_key
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", "/v1/pipeline", headers=shown)
        found: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
        return found
    finally:
        connection.close()
