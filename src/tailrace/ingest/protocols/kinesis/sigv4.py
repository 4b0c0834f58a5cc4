"""Signature Version 4: whether a request was signed with a key that is configured. Pure: the caller says what time it is.

Both forms are read, the `Authorization` header and the query of a presigned URL. Source of the canonical forms: AWS General
Reference, "Create a signed AWS API request"; messages as Kinesis answers them. Comparison takes the same time for every signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, unquote_plus

from tailrace.ingest.protocols.kinesis.errors import KinesisError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "kinesis"
SKEW_S = 300
EXPIRES_S_MAX = 7 * 86_400
_STAMP = "%Y%m%dT%H%M%SZ"
_BLANKS = re.compile(r"\s+")
_FIELDS = ("Credential", "Signature", "SignedHeaders")
_QUERY = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing "
    "method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Signable:
    """A request as it came. `headers`: names in lower case. `path`, `query`: not decoded."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the request says about its own signature. `expires_s`: only of a presigned one."""

    key_id: str
    scope: tuple[str, str, str, str]
    signed_headers: tuple[str, ...]
    signature: str
    stamp: str
    expires_s: int | None = None


def verify(request: Signable, secrets: Mapping[str, str], now_us: int) -> str:
    """The id of the key that signed it. `secrets`: by key id. Raises what AWS answers."""
    claim = _checked_claim(request, secrets, now_us)
    expected = _signature(request, claim, secrets[claim.key_id])
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        raise _invalid(_MISMATCH)
    return claim.key_id


def check_claim(request: Signable, secrets: Mapping[str, str], now_us: int) -> None:
    """All that can be told before the body is there. Raises as `verify` does."""
    _checked_claim(request, secrets, now_us)


def _checked_claim(request: Signable, secrets: Mapping[str, str], now_us: int) -> _Claim:
    claim = _claim(request)
    date, region, service, end = claim.scope
    if service != SERVICE or end != "aws4_request" or not region:
        raise _invalid(f"Credential should be scoped to correct service: '{SERVICE}'.")
    at = _time(claim.stamp)
    if at is None or date != claim.stamp[:8]:
        raise _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date[:20]}' != '{claim.stamp[:8]}', from '{claim.stamp[:20]}'."
        )
    _check_time(claim, at, datetime.fromtimestamp(now_us // 1_000_000, UTC))
    if "host" not in claim.signed_headers:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.expires_s is None:
        for name, _ in request.headers:
            if name.startswith("x-amz-") and name not in claim.signed_headers:
                raise _invalid(f"'{name[:40]}' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.key_id not in secrets:
        raise KinesisError("UnrecognizedClientException", "The security token included in the request is invalid.")
    return claim


# -- what the request says ---------------------------------------------------------------------------------------------


def _claim(request: Signable) -> _Claim:
    authorization = request.header("authorization")
    query = dict(_pairs(request.query))
    presigned = "X-Amz-Algorithm" in query
    if authorization is not None and presigned:
        raise _invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    if presigned:
        return _claim_of_query(query)
    if authorization is None:
        raise KinesisError("MissingAuthenticationTokenException", "Missing Authentication Token")
    return _claim_of_header(request, authorization)


def _claim_of_header(request: Signable, authorization: str) -> _Claim:
    algorithm, _, rest = authorization.strip().partition(" ")
    if not algorithm.startswith("AWS4-"):
        raise KinesisError("MissingAuthenticationTokenException", "Missing Authentication Token")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:40]}'. ")
    parts = (part.strip().partition("=") for part in rest.split(","))
    found = {name: value for name, _, value in parts if value}
    missing = "".join(f"Authorization header requires '{name}' parameter. " for name in _FIELDS if name not in found)
    stamp = _stamp_of(request)
    if not stamp:
        missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
    if missing:
        raise _incomplete(missing)
    headers = tuple(found["SignedHeaders"].lower().split(";"))
    return _Claim(*_scope(found["Credential"]), headers, found["Signature"], stamp)


def _claim_of_query(query: Mapping[str, str]) -> _Claim:
    missing = "".join(
        f"AWS query-string parameters must include '{name}'. " for name in _QUERY if not query.get(name, "")
    )
    if missing or query["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(missing + "Re-examine the query-string parameters. ")
    expires = query.get("X-Amz-Expires", str(SKEW_S))
    if not (expires.isascii() and expires.isdigit() and len(expires) < 9 and 1 <= int(expires) <= EXPIRES_S_MAX):
        raise _incomplete("X-Amz-Expires must be a whole number of seconds, a week at most. ")
    headers = tuple(query["X-Amz-SignedHeaders"].lower().split(";"))
    signature, stamp = query["X-Amz-Signature"], query["X-Amz-Date"]
    return _Claim(*_scope(query["X-Amz-Credential"]), headers, signature, stamp, int(expires))


def _scope(credential: str) -> tuple[str, tuple[str, str, str, str]]:
    parts = credential.split("/")
    if len(parts) < 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term. "
        )
    date, region, service, end = parts[-4:]
    return "/".join(parts[:-4]), (date, region, service, end)


def _stamp_of(request: Signable) -> str:
    """`X-Amz-Date`, or `Date` in the same form; empty if there is neither."""
    stamp = request.header("x-amz-date")
    if stamp is not None:
        return stamp.strip()
    date = (request.header("date") or "").strip()
    try:
        return datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).strftime(_STAMP)
    except ValueError:
        return date


def _time(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _check_time(claim: _Claim, at: datetime, now: datetime) -> None:
    allowed = timedelta(seconds=SKEW_S)
    lasts = allowed if claim.expires_s is None else timedelta(seconds=claim.expires_s)
    minutes = int(lasts.total_seconds() // 60)
    if at < now - lasts:
        oldest = (now - lasts).strftime(_STAMP)
        raise _invalid(
            f"Signature expired: {claim.stamp} is now earlier than {oldest} ({now.strftime(_STAMP)} - {minutes} min.)"
        )
    if at > now + allowed:
        newest = (now + allowed).strftime(_STAMP)
        raise _invalid(
            f"Signature not yet current: {claim.stamp} is still later than {newest} ({now.strftime(_STAMP)} + {SKEW_S // 60} min.)"
        )


# -- what it should be -------------------------------------------------------------------------------------------------


def _signature(request: Signable, claim: _Claim, secret: str) -> str:
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *(f"{name}:{_canonical_header(request, name)}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join((ALGORITHM, claim.stamp, "/".join(claim.scope), hashed))
    return hmac.new(_signing_key(secret, *claim.scope), text.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str, end: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_path(path: str) -> str:
    return quote(path or "/", safe="/-_.~")


def _canonical_query(query: str) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in _pairs(query)
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]


def _canonical_header(request: Signable, name: str) -> str:
    return ",".join(_BLANKS.sub(" ", value.strip()) for key, value in request.headers if key == name)


def _invalid(message: str) -> KinesisError:
    return KinesisError("InvalidSignatureException", message)


def _incomplete(message: str) -> KinesisError:
    return KinesisError("IncompleteSignatureException", message.strip())
