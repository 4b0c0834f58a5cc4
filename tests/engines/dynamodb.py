"""DynamoDB Local, in memory: where the Kinesis client library keeps its leases."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.testing.node import free_port
from tests.engines.jvm import java, server
from tools import engines


@contextmanager
def dynamodb(folder: Path) -> Iterator[str]:
    """Gives its endpoint."""
    port = free_port()
    command = java("dynamodb")
    command[1:1] = [f"-Djava.library.path={engines.HERE / 'dynamodb'}"]
    command += ["software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-port", str(port)]
    command += ["-disableTelemetry"]
    with server(command, folder, lambda: _answers(port)):
        yield f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
