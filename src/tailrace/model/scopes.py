"""Scopes: what somebody may do, in all streams or in some. Written `query`, or `query:errors` for one stream.

The scopes do not contain each other: who may administer a node need not read its logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tailrace.errors import Invalid

INGEST, QUERY, ADMIN = SCOPES = ("ingest", "query", "admin")
LOGS = "logs"
"""The stream that all others choose from: who may read it may read all."""
GRANTS_MAX = 64
_STREAM = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Grants:
    """`pairs`: scope and stream; stream empty: in all of them. In order, each once."""

    pairs: tuple[tuple[str, str], ...] = ()

    def has(self, scope: str) -> bool:
        """In some stream at least."""
        return any(each == scope for each, _ in self.pairs)

    def whole(self, scope: str) -> bool:
        """In all streams, and in what belongs to the node as a whole."""
        return (scope, "") in self.pairs or (scope, LOGS) in self.pairs

    def allows(self, scope: str, streams: Iterable[str]) -> bool:
        """`streams`: a stream and all that it chooses from; one that is granted is enough."""
        return self.whole(scope) or any((scope, stream.lower()) in self.pairs for stream in streams)

    def texts(self) -> list[str]:
        return [f"{scope}:{stream}" if stream else scope for scope, stream in self.pairs]


ALL = Grants(tuple((scope, "") for scope in SCOPES))


def parse_grants(scopes: Iterable[str], streams: Iterable[str] = ()) -> Grants:
    """`streams` limit each scope that names none itself. Raises Invalid for what is no scope or no name of a stream, and for none."""
    limits = [_stream(each) for each in streams]
    pairs: set[tuple[str, str]] = set()
    for text in scopes:
        scope, colon, stream = text.strip().partition(":")
        if scope not in SCOPES:
            raise Invalid(
                f"`{text[:80]}` is no scope", hint=f"use {', '.join(SCOPES)}, or one of a stream: query:errors"
            )
        named = [_stream(stream)] if colon else limits or [""]
        pairs |= {(scope, each) for each in named}
    if not pairs:
        raise Invalid("there is no scope", hint=f"name at least one of {', '.join(SCOPES)}")
    if len(pairs) > GRANTS_MAX:
        raise Invalid(f"more than {GRANTS_MAX} scopes", hint="make a stream of what belongs together")
    covered = {scope for scope, stream in pairs if not stream}
    kept = {(scope, stream) for scope, stream in pairs if not stream or scope not in covered}
    return Grants(tuple(sorted(kept, key=lambda pair: (SCOPES.index(pair[0]), pair[1]))))


def _stream(name: str) -> str:
    name = name.strip()
    if not _STREAM.fullmatch(name):
        raise Invalid(f"`{name[:80]}` is no name of a stream", hint="as CREATE STREAM names it, or logs")
    return name.lower()
