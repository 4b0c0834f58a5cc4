"""Records into a Kinesis stream with boto3, as scripts do: `put_records`, the endpoint as partition key, what fails sent again by itself.

Kinesis knows no producer: a call whose answer is lost is made again, and its records may then be there twice. The trace id of each
line is the same both times; a reader that takes it for the record's id counts it once.
Source: AWS, Amazon Kinesis Data Streams API reference, PutRecords (500 records and 10 MiB a call, partial failures).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tailrace.errors import Invalid, Unavailable
from tailrace.producers.feed import Post
from tailrace.producers.sinks.base import Acked, Journal, Link, Parcel, Refused, Retry, Sink
from tailrace.producers.spec import RunSpec
from tailrace.runtime.clock import Clock

RECORDS_A_CALL = 500
CALL_BYTES_MAX = 10 << 20
TIMEOUT_S = 30
CONNECT_S = 5
_LOOPBACK = ("://127.", "://localhost", "://[::1]")
_FOR_GOOD = frozenset(
    {
        "AccessDeniedException",
        "InvalidArgumentException",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationTokenException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
Record = dict[str, Any]


class KinesisSink(Sink):
    """`kinesis://STREAM`. Raises Invalid without boto3, and without a region or keys where they are needed."""

    def __init__(self, spec: RunSpec, clock: Clock, journal: Journal | None = None) -> None:
        self._stream = spec.target.removeprefix("kinesis://")
        self._client = _client(spec)
        super().__init__(clock, connections=spec.connections, salt=spec.producer, journal=journal)

    def link(self) -> Link:
        return _KinesisLink(self._client, self._stream)


class _KinesisLink:
    """`rest` of a parcel: the records that are not stored yet."""

    def __init__(self, client: Any, stream: str) -> None:
        self._client, self._stream = client, stream

    def send(self, parcel: Parcel, give_up: threading.Event) -> Acked:
        from botocore.exceptions import BotoCoreError, ClientError

        if parcel.rest is None:
            parcel.rest = records_of(parcel.post)
        while parcel.rest:
            size = call_size(parcel.rest)
            try:
                answer = self._client.put_records(StreamName=self._stream, Records=parcel.rest[:size])
            except ClientError as error:
                code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
                raise (Refused if code in _FOR_GOOD else Retry)(f"{code}: {message}") from error
            except BotoCoreError as error:
                raise Retry(f"no answer: {_reason(error)}") from error
            failed = [r for r, said in zip(parcel.rest, answer["Records"], strict=False) if said.get("ErrorCode")]
            parcel.rest = failed + parcel.rest[size:]
            if failed:
                code = next(said["ErrorCode"] for said in answer["Records"] if said.get("ErrorCode"))
                raise Retry(f"{len(failed)} of {size} records: {code}")
        return Acked(parcel.post.lines)

    def close(self) -> None:
        # The client is shared by all links, and has nothing open that needs an end.
        return


def records_of(post: Post) -> list[Record]:
    """A record for each line, without its newline."""
    assert post.keys is not None, "a post for Kinesis names the key of each line"
    lines = bytes(post.body).split(b"\n")[:-1]
    return [{"Data": line, "PartitionKey": key} for line, key in zip(lines, post.keys, strict=True)]


def call_size(records: Sequence[Record]) -> int:
    """How many of the first records one call takes; at least one."""
    size, total = 0, 0
    for record in records[:RECORDS_A_CALL]:
        total += len(record["Data"]) + len(record["PartitionKey"].encode())
        if size and total > CALL_BYTES_MAX:
            break
        size += 1
    return size


def check_answers(url: str) -> None:
    """Somebody listens at an endpoint, before a run begins. Raises Invalid for what is no URL, Unavailable if nobody does."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname
    if not host or port is None:
        raise Invalid(f"`{url}` is no endpoint", hint="write http://HOST:PORT or https://HOST")
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # only the proxy can be asked
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise Unavailable(
            f"no Kinesis endpoint answers at host `{host}`, port {port}: {error.strerror or error}",
            hint="start it, or check --endpoint-url; a node of Tailrace answers at its own address",
        ) from error


def _reason(error: BaseException) -> str:
    """What botocore says, and what the system said to it, which botocore leaves out."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        inner = getattr(cause, "kwargs", {}).get("error") or getattr(cause, "reason", None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return str(error) if cause is None else f"{error}: {cause.strerror or cause}"


def _client(spec: RunSpec) -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise Invalid("kinesis:// needs boto3", hint="pip install 'tailrace[aws]'") from error
    session = boto3.session.Session()
    given: dict[str, Any] = {"region_name": session.region_name}
    if spec.endpoint_url:
        given |= {"endpoint_url": spec.endpoint_url, "region_name": session.region_name or "us-east-1"}
        if session.get_credentials() is None and any(word in spec.endpoint_url for word in _LOOPBACK):
            # A service on this machine takes any key, but boto3 signs with one or not at all.
            given |= {"aws_access_key_id": "tailrace", "aws_secret_access_key": "tailrace"}
    elif session.get_credentials() is None:
        raise Invalid("no AWS keys are found", hint="run aws configure, or name another service with --endpoint-url")
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        max_pool_connections=max(10, spec.connections),
    )
    try:
        return session.client("kinesis", config=config, **given)
    except (BotoCoreError, ValueError) as error:
        raise Invalid(f"kinesis cannot be asked: {error}", hint="set AWS_REGION, or check --endpoint-url") from error
