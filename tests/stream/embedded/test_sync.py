"""An acknowledgement follows a completed fsync of its bytes: read from a trace of the system calls of a real process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

POSTS = 6
ROOT = Path(__file__).resolve().parents[3]
APPENDER = """
import os, sys
from pathlib import Path
from tailrace.testing.contracts.stream_harness import durable
from tailrace.testing.contracts.stream_samples import sample_batch
from tests.stream.embedded.processes import open_stream
stream = open_stream(Path(sys.argv[1]))
shard_id = stream.shards()[0].id
for n in range(int(sys.argv[2])):
    durable(stream.append(sample_batch(shard_id, range(n * 2000, n * 2000 + (2000 if n % 2 else 3)))))
    os.write(1, b"ACK %d\\n" % n)
stream.close()
"""
CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<args>.*)")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>")


def trace(folder: Path) -> list[str]:
    """Lines of strace, in the order in which calls ended (a call cut in two counts where it ended)."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    output = folder / "trace"
    command = [strace, "-f", "-y", "-e", "trace=pwrite64,fsync,fdatasync,write,ftruncate", "-o", str(output)]
    command += [sys.executable, "-c", APPENDER, str(folder / "logs"), str(POSTS)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        timeout=120,
    )
    if b"PTRACE" in done.stderr:
        pytest.skip("processes may not be traced on this machine")
    assert done.returncode == 0, done.stderr.decode()
    return output.read_text().splitlines()


def events(lines: list[str]) -> list[tuple[str, str]]:
    """(`write` | `synced` | `ack`, file): a write to a WAL where it began, a sync where it ended, an ack where it began."""
    found, open_syncs = [], {}
    for line in lines:
        pid = line.split(" ", 1)[0]
        if resumed := RESUMED.match(line):
            if resumed["name"] in ("fsync", "fdatasync") and line.endswith("= 0"):
                found.append(("synced", open_syncs.pop(pid)))
            continue
        call = CALL.match(line)
        if call is None:
            continue
        name, args = call["name"], call["args"]
        path = args[args.find("<") + 1 : args.find(">")]
        if name == "pwrite64" and path.endswith("-wal"):
            found.append(("write", path))
        elif name in ("fsync", "fdatasync"):
            if line.endswith("<unfinished ...>"):
                open_syncs[pid] = path
            elif line.endswith("= 0"):
                found.append(("synced", path))
        elif name == "write" and '"ACK ' in args:
            found.append(("ack", args))
    return found


def test_each_ack_follows_a_completed_sync_of_its_wal(tmp_path: Path) -> None:
    seen = events(trace(tmp_path))
    acks = [i for i, (kind, _) in enumerate(seen) if kind == "ack"]
    assert len(acks) == POSTS
    before = 0
    for ack in acks:
        since = seen[before:ack]
        writes = [i for i, (kind, _) in enumerate(since) if kind == "write"]
        assert writes, "something was written for each post"
        wal = since[writes[-1]][1]
        assert ("synced", wal) in since[writes[-1] :], "the last write of the WAL was synced before the ack"
        before = ack


def test_names_of_new_files_are_synced_before_the_first_ack(tmp_path: Path) -> None:
    seen = events(trace(tmp_path))
    first_ack = next(i for i, (kind, _) in enumerate(seen) if kind == "ack")
    synced = {path for kind, path in seen[:first_ack] if kind == "synced"}
    logs = tmp_path / "logs"
    for folder in (tmp_path, logs, logs / "shardId-000000000000", logs / "shardId-000000000001"):
        assert str(folder) in synced
