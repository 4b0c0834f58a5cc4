"""Signatures made by botocore's own signer are taken; anything else gets the error that AWS gives."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.ingest.protocols.kinesis.errors import KinesisError
from tailrace.ingest.protocols.kinesis.sigv4 import Signable, verify

NOW = datetime.datetime(2026, 11, 23, 12, 0, 0, tzinfo=datetime.UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
SECRETS = {"AKID": "secret/with+signs=and-40-characters-xxxx", "other": "x" * 40}
MINUTE_US = 60_000_000


def signed(
    body: bytes,
    headers: dict[str, str],
    *,
    key: str = "AKID",
    secret: str = "",
    query: str = "",
    presigned: bool = False,
) -> Signable:
    url = "http://127.0.0.1:8080/" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, data=body, headers={"Host": "127.0.0.1:8080", **headers})
    credentials = Credentials(key, secret or SECRETS["AKID"])
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        kind: Any = SigV4QueryAuth if presigned else SigV4Auth
        kind(credentials, "kinesis", "eu-west-1").add_auth(request)
    prepared = request.prepare()
    found = [
        (str(name).lower(), value if isinstance(value, str) else value.decode())
        for name, value in request.headers.items()
    ]
    return Signable("POST", "/", prepared.url.partition("?")[2], found, body)


def changed(request: Signable, **headers: str | None) -> Signable:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = [(n, v) for n, v in request.headers if n not in names]
    return Signable(
        request.method,
        request.path,
        request.query,
        kept + [(n, v) for n, v in names.items() if v is not None],
        request.body,
    )


def error_of(request: Signable, now_us: int = NOW_US, secrets: dict[str, str] | None = None) -> KinesisError:
    with pytest.raises(KinesisError) as error:
        verify(request, SECRETS if secrets is None else secrets, now_us)
    for secret in SECRETS.values():
        assert secret not in str(error.value)
    return error.value


VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(["X-Amz-Target", "X-Amz-A", "Content-Type"]), VALUES))
def test_what_botocore_signs_is_taken(body: bytes, headers: dict[str, str]) -> None:
    assert verify(signed(body, headers), SECRETS, NOW_US) == "AKID"


@pytest.mark.parametrize("query", ["", "a=1&b=%20x&A=%2F", "b&a=&c=%C3%BC"])
def test_presigned_and_with_query(query: str) -> None:
    assert verify(signed(b"{}", {}, query=query), SECRETS, NOW_US) == "AKID"
    presigned = signed(b"", {}, presigned=True)
    assert verify(Signable("POST", "/", presigned.query, [("host", "127.0.0.1:8080")], b""), SECRETS, NOW_US) == "AKID"


@pytest.mark.parametrize("expires", ["0", "604801", "1" + "0" * 12, "0" * 8 + "1" * 5_000, "x", ""])
def test_a_presigned_url_lasts_a_week_at_most(expires: str) -> None:
    presigned = signed(b"", {}, presigned=True)
    query = "&".join(
        f"X-Amz-Expires={expires}" if part.startswith("X-Amz-Expires=") else part for part in presigned.query.split("&")
    )
    assert "X-Amz-Expires" in presigned.query
    assert error_of(Signable("POST", "/", query, presigned.headers, b"")).name == "IncompleteSignatureException"


def test_what_names_the_operation_must_be_signed() -> None:
    good = signed(b"{}", {})
    request = Signable("POST", "/", "", [*good.headers, ("x-amz-target", "Kinesis_20131202.DeleteStream")], b"{}")
    assert error_of(request).message.startswith("'x-amz-target' must be a 'SignedHeader'")


def test_any_change_is_seen() -> None:
    good = signed(b"body", {"X-Amz-Target": "Kinesis_20131202.PutRecord"})
    for bad in (
        Signable("PUT", good.path, good.query, good.headers, good.body),
        Signable("POST", "/other", good.query, good.headers, good.body),
        Signable("POST", "/", "a=1", good.headers, good.body),
        Signable("POST", "/", "", good.headers, b"Body"),
        changed(good, x_amz_target="Kinesis_20131202.DeleteStream"),
        signed(b"body", {}, secret="wrong" * 8),
    ):
        error = error_of(bad)
        assert error.name == "InvalidSignatureException"
        assert error.message.startswith("The request signature we calculated does not match")


def test_missing_and_incomplete() -> None:
    good = signed(b"", {})
    assert error_of(changed(good, authorization=None)).name == "MissingAuthenticationTokenException"
    assert error_of(changed(good, authorization="Bearer x")).name == "MissingAuthenticationTokenException"
    bare = error_of(changed(good, authorization="AWS4-HMAC-SHA256 ", x_amz_date=None))
    assert bare.name == "IncompleteSignatureException"
    for part in ("'Credential'", "'Signature'", "'SignedHeaders'", "'X-Amz-Date' or a 'Date'"):
        assert part in bare.message
    both = Signable("POST", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", good.headers, b"")
    assert error_of(both).message.startswith("Found both")
    short = Signable("POST", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", [], b"")
    assert error_of(short).name == "IncompleteSignatureException"
    assert "AWS query-string parameters must include 'X-Amz-Signature'" in error_of(short).message


def test_unknown_key_and_wrong_service() -> None:
    assert error_of(signed(b"", {}, key="nobody")).name == "UnrecognizedClientException"
    good = signed(b"", {})
    authorization = good.header("authorization") or ""
    wrong = error_of(changed(good, authorization=authorization.replace("/kinesis/", "/s3/")))
    assert (wrong.name, wrong.message) == (
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'kinesis'.",
    )
    no_host = error_of(changed(good, authorization=authorization.replace("SignedHeaders=host;", "SignedHeaders=")))
    assert "'Host'" in no_host.message


def test_clock_skew() -> None:
    good = signed(b"", {})
    for minutes in (-5, 5):
        assert verify(good, SECRETS, NOW_US + minutes * MINUTE_US) == "AKID"
    late, early = error_of(good, NOW_US + 6 * MINUTE_US), error_of(good, NOW_US - 6 * MINUTE_US)
    assert late.message == (
        "Signature expired: 20261123T120000Z is now earlier than 20261123T120100Z (20261123T120600Z - 5 min.)"
    )
    assert early.message.startswith("Signature not yet current: 20261123T120000Z is still later than 20261123T115900Z")
