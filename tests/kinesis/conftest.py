"""One running node with a key, and boto3 on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tailrace.testing.node import RunningNode
from tests.e2e.nodes import quick_node

KEY_ID, SECRET, ACCOUNT = "AKIATAILRACE", "a-secret-that-only-the-tests-know", "123456789012"
SETTINGS = f"""
[kinesis]
account_id = "{ACCOUNT}"
id_field = "event_id"
[[keys]]
id = "{KEY_ID}"
secret = "{SECRET}"
[[keys]]
id = "second"
secret = "another-secret-of-the-tests"
"""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with quick_node(tmp_path_factory.mktemp("kinesis"), SETTINGS) as running:
        yield running


def client_of(port: int, key_id: str = KEY_ID, secret: str = SECRET, **config: Any) -> Any:
    """boto3 as a script has it, but without its own retries: a test sees the first answer."""
    return boto3.client(
        "kinesis",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(**({"retries": {"max_attempts": 0}} | config)),
    )


@pytest.fixture(scope="session")
def kinesis(node: RunningNode) -> Any:
    return client_of(node.port)
