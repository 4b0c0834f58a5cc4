"""The small parts of the composition root: addresses, sockets, what is written to DATA/run, who is started how."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tailrace.config.load import load_settings
from tailrace.errors import Invalid, Unavailable
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.pipeline import readiness
from tailrace.pipeline.listen import bind
from tailrace.pipeline.lock import is_alive
from tailrace.pipeline.roles import child_specs, ingest_processes
from tailrace.pipeline.run_file import RunFile, RunningProcess, read_run_file, remove_run_file, write_run_file
from tailrace.pipeline.sealer import run_sealer
from tailrace.pipeline.sockets import bind_unix, socket_path
from tailrace.runtime.clock import ManualClock
from tailrace.stream.backends.memory import MemoryStream
from tailrace.stream.base import EpochSeal
from tailrace.testing.contracts.stream_samples import sample_batch
from tailrace.testing.node import free_port

RUNNING = RunFile(
    pid=1,
    url="http://127.0.0.1:8080",
    data_dir="/d",
    views_dir="/v",
    started_at="2026-11-22T10:00:00Z",
    version="1",
    processes=[RunningProcess(role="ingest", name="ingest-0", pid=2)],
)


def test_a_free_port_is_bound_and_a_taken_one_refused_with_the_next_step() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port `{port}`") as found:
            bind("127.0.0.1", port)
        assert f"--listen 127.0.0.1:{port + 1}" in found.value.hint
    bind("127.0.0.1", port).close()


def test_no_port_is_bound_where_others_could_reach_it() -> None:
    with pytest.raises(Invalid, match="refusing"):
        bind("0.0.0.0", 0)
    bind("0.0.0.0", 0, has_keys=True).close()


def test_a_deep_folder_gets_a_short_name_for_its_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    assert socket_path(Path("/d/run"), "node.sock") == Path("/d/run/node.sock")
    path = socket_path(deep, "node.sock")
    monkeypatch.chdir(deep)
    with bind_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert (deep / "node.sock").stat().st_mode & 0o777 == 0o600


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bind_unix(Path("a.sock")).close()
    bind_unix(Path("a.sock")).close()


def test_the_run_file_reads_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    assert read_run_file(tmp_path) is None
    write_run_file(tmp_path, RUNNING)
    assert read_run_file(tmp_path) == RUNNING
    assert [p.name for p in tmp_path.iterdir()] == ["tailrace.json"]
    (tmp_path / "tailrace.json").write_bytes(b'{"pid":')
    assert read_run_file(tmp_path) is None
    remove_run_file(tmp_path)
    remove_run_file(tmp_path)
    assert read_run_file(tmp_path) is None


def test_children_are_listed_in_the_order_of_the_data(tmp_path: Path) -> None:
    settings = load_settings(folder=tmp_path)
    settings = replace(settings, ingest=replace(settings.ingest, processes=3))
    specs = child_specs(settings, {"--listen-handle": 11, "--tls-handle": 13}, 12)
    assert [s.name for s in specs] == ["ingest-0", "ingest-1", "ingest-2", "node", "batch", "query"]
    assert [s.role for s in specs] == ["ingest"] * 3 + ["node", "batch", "query"]
    assert [11 in s.handles and 13 in s.handles for s in specs] == [True] * 3 + [False] * 3
    assert all(12 in s.handles for s in specs)
    assert all(str(settings.data_dir) in s.argv for s in specs)


@pytest.mark.parametrize(("set_to", "cores", "count"), [(0, 1, 1), (0, 2, 2), (0, None, 2), (0, 64, 2), (5, 1, 5)])
def test_there_are_as_many_ingest_processes_as_set_or_two(
    set_to: int, cores: int | None, count: int, tmp_path: Path
) -> None:
    settings = load_settings(folder=tmp_path)
    settings = replace(settings, ingest=replace(settings.ingest, processes=set_to))
    assert ingest_processes(settings, cores) == count


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "ready", "reason"),
    [
        (200, b"ready\n", True, ""),
        (
            503,
            b'{"error":{"code":"unavailable","message":"views are being built","hint":""}}',
            False,
            "views are being built",
        ),
        (503, b"<html>", False, "it does not answer yet"),
    ],
)
def test_readiness_is_what_the_node_says(status: int, body: bytes, ready: bool, reason: str) -> None:
    with answering(status, body) as url:
        assert readiness.ask(url) == readiness.Readiness(ready, reason)


def test_nobody_there_is_not_ready() -> None:
    state = readiness.ask(f"http://127.0.0.1:{free_port()}")
    assert not state.ready
    assert "refused" in state.reason


class Turns(threading.Event):
    """Set after so many waits."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == 5.0
        self.left -= 1
        return self.left < 0


def test_the_sealer_closes_the_open_epoch_of_every_shard_that_holds_anything() -> None:
    stream = MemoryStream(DEFAULT_FIELDS, 3, ManualClock())
    first, _, third = (shard.id for shard in stream.shards())
    for shard in (first, third):
        stream.append(sample_batch(shard, range(5))).result()
    run_sealer(stream, 5.0, Turns(3))
    assert [[seal.epoch for seal in stream.seals(shard.id)] for shard in stream.shards()] == [[1], [], [1]]


def test_the_sealer_tries_again_what_cannot_be_written_now() -> None:
    class Full(MemoryStream):
        def seal(self, shard_id: str) -> EpochSeal | None:
            turns.append(shard_id)
            if len(turns) == 1:
                raise Unavailable("the disk is full")
            return super().seal(shard_id)

    turns: list[str] = []
    stream = Full(DEFAULT_FIELDS, 2, ManualClock())
    for shard in stream.shards():
        stream.append(sample_batch(shard.id, range(5))).result()
    run_sealer(stream, 5.0, Turns(2))
    assert [len(stream.seals(shard.id)) for shard in stream.shards()] == [1, 1]


def test_this_process_is_alive() -> None:
    assert is_alive(os.getpid())
    assert not is_alive(2**22 + 1)
