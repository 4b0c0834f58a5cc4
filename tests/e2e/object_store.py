"""A real S3 server on loopback, SeaweedFS, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from tailrace.testing.node import free_port
from tests.e2e.waiting import until

BUCKET = "backups"
KEY, SECRET = "AKIATAILRACETEST", "never/to+be=shown/3f9c"
_PORTS = (
    "master.port",
    "volume.port",
    "filer.port",
    "s3.port",
    "master.port.grpc",
    "volume.port.grpc",
    "filer.port.grpc",
    "s3.port.grpc",
)


@dataclass(frozen=True)
class ObjectStore:
    """`env`: the credentials, as the AWS command line takes them. `log`: what the server said, requests too."""

    endpoint: str
    env: Mapping[str, str]
    log: Path

    def files(self) -> pafs.S3FileSystem:
        return pafs.S3FileSystem(
            access_key=KEY, secret_key=SECRET, endpoint_override=self.endpoint, allow_bucket_creation=True
        )


def weed() -> str:
    """The program. Leaves the test out where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    found = os.environ.get("TAILRACE_WEED") or (str(beside) if beside.exists() else shutil.which("weed"))
    if not found:
        pytest.skip("no S3 server is here: `make setup` installs SeaweedFS on Linux (x86-64); else set TAILRACE_WEED")
    return found


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """With one bucket, and one user who may do anything to it."""
    program, ports = weed(), {name: free_port() for name in _PORTS}
    user = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [user]}))
    log = folder / "weed.log"
    command = [
        program,
        "-logtostderr",
        "server",
        "-dir=data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3",
        "-s3.config=s3.json",
    ]
    command += [
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.max=20",
        "-master.volumeSizeLimitMB=64",
    ]
    command += [f"-{name}={port}" for name, port in ports.items()]
    with log.open("wb") as said:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    store = ObjectStore(
        f"http://127.0.0.1:{ports['s3.port']}",
        {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"},
        log,
    )
    try:
        until(lambda: has_bucket(store, server), lambda: log.read_text(errors="replace")[-3000:])
        yield store
    finally:
        server.kill()
        server.wait()


def has_bucket(store: ObjectStore, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, store.log.read_text(errors="replace")[-3000:]
    try:
        store.files().create_dir(BUCKET)
    except OSError:
        return False
    return True
