"""Sinks other than plain http: what goes out is what was made, and what cannot be sent is told with the next step."""

from __future__ import annotations

import errno
import gzip
import http.server
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import zstandard

from tailrace.cli.main import main
from tailrace.errors import Invalid, Unavailable
from tailrace.producers.control import Ear, tell
from tailrace.producers.feed import Post
from tailrace.producers.manifest import read_manifest
from tailrace.producers.sinks import kafka
from tailrace.producers.sinks.base import Parcel, Refused, Retry
from tailrace.producers.sinks.file import FileSink
from tailrace.producers.sinks.http import HttpSink
from tailrace.producers.sinks.kinesis import CALL_BYTES_MAX, _KinesisLink, call_size
from tailrace.producers.sinks.targets import kind_of
from tailrace.runtime.clock import SystemClock

NEVER = threading.Event()


def post(lines: list[bytes], keys: list[str] | None = None) -> Post:
    return Post(b"".join(line + b"\n" for line in lines), len(lines), 0, keys=keys)


# -- Files -----------------------------------------------------------------------------------------------------------


def test_processes_append_whole_posts_to_one_file_and_the_manifest_agrees(tmp_path: Path) -> None:
    made, manifest = tmp_path / "made.ndjson", tmp_path / "m.ndjson"
    words = f"--to file://{made} --rate 3000 --processes 2 --duration 600ms --manifest {manifest} --json"
    assert main(["produce", *words.split()]) == 0
    records = [json.loads(line) for line in made.read_bytes().splitlines()]
    found = Counter((r["endpoint"], r["status"]) for r in records)
    read = read_manifest(manifest)
    codes, endpoints = read.begin.statuses, read.begin.spec.profile.endpoints
    told = Counter[tuple[str, int]]()
    for written in read.posts.values():
        for _, key, count, _ in written.cells:
            told[endpoints[key // len(codes)].path, codes[key % len(codes)]] += count
    assert (len(records), found) == (1_800, told)
    assert read.end is not None
    assert read.end.whole


def test_the_same_seed_makes_the_same_lines_with_any_number_of_processes(tmp_path: Path) -> None:
    """But for times and ids, which are the run's own."""
    lines = []
    for processes in (1, 3):
        made = tmp_path / f"{processes}.ndjson"
        words = (
            f"--to file://{made} --rate 1000 --seed 77 --processes {processes} --duration 500ms --no-manifest --json"
        )
        assert main(["produce", *words.split()]) == 0
        own = [json.loads(line) for line in made.read_bytes().splitlines()]
        lines.append(
            sorted(json.dumps({k: v for k, v in r.items() if k not in ("timestamp", "trace_id")}) for r in own)
        )
    assert lines[0] == lines[1]
    assert len(lines[0]) == 500


def test_history_is_filled_in_event_time(tmp_path: Path) -> None:
    made = tmp_path / "made.ndjson"
    words = f"--to file://{made} --rate 2000 --since 1h --speed 3601x --no-manifest --json"
    assert main(["produce", *words.split()]) == 0
    stamps = [json.loads(line)["timestamp"] for line in made.read_bytes().splitlines()]
    minutes = {stamp[:16] for stamp in stamps}
    assert len(stamps) == 2_000
    assert 59 <= len(minutes) <= 62


def test_a_file_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        FileSink("file:///nowhere/at/all", SystemClock())


# -- Compressed http -------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            encoding = self.headers["Content-Encoding"]
            plain = gzip.decompress(body) if encoding == "gzip" else zstandard.ZstdDecompressor().decompress(body)
            bodies.append(plain)
            count = plain.count(b"\n")
            answer = json.dumps({"accepted": count - 150, "dead_lettered": [], "dead_lettered_total": 150}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", bodies
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_posts_may_be_compressed_and_many_dead_letters_are_counted_by_their_total(
    server: tuple[str, list[bytes]], encoding: str
) -> None:
    url, bodies = server
    sink = HttpSink(url, SystemClock(), producer="p", epoch=0, encoding=encoding)
    sent = post([b"x" * 20] * 200)
    assert sink.put(sent, NEVER)
    counts = sink.close()
    assert bodies == [sent.body]
    assert (counts.acked, counts.dead_lettered, counts.failed) == (200, 150, 0)


# -- Kinesis ---------------------------------------------------------------------------------------------------------


class Kinesis:
    """Stands in for the client: takes what `say` lets it, and keeps it."""

    def __init__(self, *say: Any) -> None:
        self._say = list(say)
        self.calls: list[int] = []
        self.taken: list[bytes] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == "logs"
        self.calls.append(len(Records))
        said = self._say.pop(0) if self._say else set()
        if isinstance(said, Exception):
            raise said
        self.taken += [r["Data"] for n, r in enumerate(Records) if n not in said]
        throttled = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
        return {"Records": [throttled if n in said else {"SequenceNumber": "1"} for n in range(len(Records))]}


def test_records_that_fail_are_sent_again_by_themselves() -> None:
    client = Kinesis({1, 499}, set(), botocore.exceptions.EndpointConnectionError(endpoint_url="x"))
    link = _KinesisLink(client, "logs")
    lines = [b'{"n":%d}' % n for n in range(1_200)]
    parcel = Parcel(0, post(lines, ["/a"] * 1_200))
    with pytest.raises(Retry, match="2 of 500 records"):
        link.send(parcel, NEVER)
    with pytest.raises(Retry, match="no answer"):
        link.send(parcel, NEVER)
    assert link.send(parcel, NEVER).accepted == 1_200
    assert sorted(client.taken) == sorted(lines)
    assert client.calls == [500, 500, 202, 202]


def test_a_stream_that_is_not_there_is_no_reason_to_wait() -> None:
    said = botocore.exceptions.ClientError(
        {"Error": {"Code": "ResourceNotFoundException", "Message": "no logs"}}, "PutRecords"
    )
    with pytest.raises(Refused, match="no logs"):
        _KinesisLink(Kinesis(said), "logs").send(Parcel(0, post([b"x"], ["/a"])), NEVER)


def test_a_call_keeps_to_the_limits_of_records_and_bytes() -> None:
    small, large = {"Data": b"x", "PartitionKey": "k"}, {"Data": b"x" * (1 << 20), "PartitionKey": "k"}
    assert call_size([small] * 700) == 500
    assert call_size([large] * 20) == 9
    assert call_size([{"Data": b"x" * (CALL_BYTES_MAX + 1), "PartitionKey": "k"}]) == 1


# -- Kafka -----------------------------------------------------------------------------------------------------------


class Broker:
    """Stands in for the library's producer: acknowledges what `poll` finds, once it is told to."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.given: list[tuple[bytes, str]] = []
        self.waiting: list[Any] = []
        self.error: str | None = None
        self.up = False

    def produce(self, topic: str, value: bytes, key: str, on_delivery: Any) -> None:
        assert topic == "logs"
        self.given.append((value, key))
        self.waiting.append(on_delivery)

    def poll(self, seconds: float) -> None:
        while self.up and self.waiting:
            self.waiting.pop()(self.error, None)


def test_a_record_is_given_to_the_library_once_however_long_the_broker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Broker] = []

    class Library:
        @staticmethod
        def Producer(settings: dict[str, Any]) -> Broker:
            made.append(Broker(settings))
            return made[0]

    monkeypatch.setattr(kafka, "_library", lambda: Library)
    link = kafka._KafkaLink("h:1", "logs")
    parcel = Parcel(0, post([b"a", b"b"], ["/a", "/b"]))
    for _ in range(2):
        with pytest.raises(Retry, match="does not answer"):
            link.send(parcel, NEVER)
    made[0].up = True
    assert link.send(parcel, NEVER).accepted == 2
    assert made[0].given == [(b"a", "/a"), (b"b", "/b")]
    assert (made[0].settings["acks"], made[0].settings["enable.idempotence"]) == ("all", True)
    made[0].error = "topic is not there"
    with pytest.raises(Refused, match="not there"):
        link.send(Parcel(1, post([b"c"], ["/c"])), NEVER)


# -- What cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--rate 0", "rate `0` is not possible"),
        ("--rate 2000000", "at most 1,000,000"),
        ("--scenario outrage", "did you mean `outage`"),
        ("--to ftp://x", "kafka://HOST:PORT/TOPIC"),
        ("--to stdout --processes 2", "several processes would mix"),
        ("--to kafka://h:1", "names no topic"),
        ("--encoding brotli", "there are: none, gzip, zstd"),
        ("--to file:///tmp/x --encoding gzip", "not possible here"),
        ("--speed 5x", "add --since 30d"),
        ("--since 1d", "never reach now"),
        ("--since 1h --speed 100x --duration 10m", "beyond now"),
        ("--duration soon", "is not a duration"),
        ("--duration 0s", "sends nothing"),
        ("--since 1h --speed 100x --duration 0s", "sends nothing"),
        ("--to kinesis://logs --endpoint-url localhost:1", "is no endpoint"),
        ("--profile /nowhere.toml", "tailrace profile learn"),
        ("--base /nowhere.log", "give a log file"),
        ("--endpoint-url http://127.0.0.1:1", "is for kinesis://"),
        ("--to file:///nowhere/x", "cannot be written"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_says_why(
    words: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = [] if "--to" in words else ["--to", f"file://{tmp_path}/x"]
    if "encoding brotli" in words:
        given = ["--to", "http://127.0.0.1:9"]
    assert main(["produce", *given, *words.split(), "--manifest", str(tmp_path / "m")]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_an_endpoint_where_nobody_listens_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # nobody else gets the port, and nobody answers at it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        words = f"--to kinesis://logs --endpoint-url http://127.0.0.1:{port} --no-manifest --duration 1s"
        assert main(["produce", *words.split()]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert f"`127.0.0.1`, port {port}: Connection refused" in said
    assert "--endpoint-url" in said


def test_what_the_system_said_is_told_with_what_boto_says() -> None:
    class Client:
        def put_records(self, **_: Any) -> Any:
            refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://h:1/", error=refused)

    with pytest.raises(Retry, match='"http://h:1/": Connection refused'):
        _KinesisLink(Client(), "logs").send(Parcel(0, post([b"a"], ["k"])), NEVER)


def test_a_base_file_of_another_kind_says_what_it_may_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "base"
    path.write_text("some words\nand no log\n")
    assert main(["produce", "--to", "stdout", "--base", str(path)]) == 2
    assert "an access log, JSON lines or CSV" in " ".join(capsys.readouterr().err.split())
    assert main(["produce", "--to", "stdout", "--profile", str(path)]) == 2
    assert "for a log, use --base FILE" in " ".join(capsys.readouterr().err.split())


def test_kinds_of_targets() -> None:
    assert [kind_of(t) for t in ("http://h:1", "kinesis://s", "kafka://h:1/t", "file:///x", "stdout", "-")] == [
        "http", "kinesis", "kafka", "file", "stdout", "stdout",
    ]  # fmt: skip


# -- Orders ----------------------------------------------------------------------------------------------------------


def test_orders_go_to_the_run_that_is_named_and_errors_come_back(tmp_path: Path) -> None:
    def refuse(order: Any) -> dict[str, Any]:
        raise Invalid(f"not {sorted(order)}", hint="try another")

    folder = tmp_path / "ears"
    with pytest.raises(Unavailable, match="no producer is running"):
        tell({"status": ""}, folder=folder)
    with Ear("aaaa", lambda order: {"run": "aaaa", **order}, folder):
        assert tell({"rate": "5"}, folder=folder) == {"run": "aaaa", "rate": "5"}
        with Ear("bbbb", refuse, folder):
            with pytest.raises(Invalid, match="2 producers are running: aaaa, bbbb"):
                tell({"rate": "5"}, folder=folder)
            with pytest.raises(Invalid, match=r"not \['pause'\]"):
                tell({"pause": ""}, "bbbb", folder)
            with pytest.raises(Unavailable, match="no producer `cccc`"):
                tell({"pause": ""}, "cccc", folder)
        assert tell({"x": "y"}, folder=folder)["run"] == "aaaa"
    (folder / "dead.sock").touch()
    with pytest.raises(Unavailable):
        tell({"status": ""}, folder=folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_command_says_how_the_run_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    told: list[Any] = []

    def obey(order: Any) -> dict[str, Any]:
        told.append(order)
        return {
            "run": "aaaa", "rate": 5.0, "paused": True, "acked": 1_200, "elapsed_s": 3.0, "duration_s": 60.0, "situation": "slow",
        }  # fmt: skip

    assert main(["produce", "ctl", "status"]) == 3
    capsys.readouterr()
    with Ear("aaaa", obey):
        assert main(["produce", "ctl", "scenario=slow", "for=30s", "endpoint=/a=b"]) == 0
    assert told == [{"scenario": "slow", "for": "30s", "endpoint": "/a=b"}]
    assert capsys.readouterr().out.strip() == "run aaaa: 5 lines/s, paused, 1,200 acknowledged, 3 of 60 s, slow"
