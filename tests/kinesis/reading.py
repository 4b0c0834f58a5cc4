"""Reading a stream through the API as consumers do, and what a test wants to know of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

STREAM = "logs"
WAIT_S = 30.0


def iterator(client: Any, shard: str, kind: str = "TRIM_HORIZON", **start: Any) -> str:
    answer = client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType=kind, **start)
    return str(answer["ShardIterator"])


def read_all(client: Any, shard: str, **start: Any) -> list[dict[str, Any]]:
    """All records of a shard from an iterator on, until there are none."""
    found: list[dict[str, Any]] = []
    token: str | None = iterator(client, shard, **start)
    while token:
        page = client.get_records(ShardIterator=token)
        found += page["Records"]
        token = page.get("NextShardIterator")
        if not page["Records"] and page["MillisBehindLatest"] == 0:
            break
    return found


def shards(client: Any, **asked: Any) -> list[dict[str, Any]]:
    return list(client.list_shards(StreamName=STREAM, **asked)["Shards"])


def everything(client: Any) -> dict[str, list[dict[str, Any]]]:
    return {shard["ShardId"]: read_all(client, shard["ShardId"]) for shard in shards(client)}


def refused(client: Any, operation: str, **given: Any) -> tuple[str, str]:
    """Name and message of the error; the client's own check of parameters is off."""
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(**given)
    found = error.value.response["Error"]
    return str(found["Code"]), str(found["Message"])


def wait_for(condition: Any, what: str) -> Any:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"still not so after {WAIT_S:.0f} s: {what}")
