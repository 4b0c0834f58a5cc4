"""A position: shard -> sequence number of its last record that counts, for every shard there was at that moment.

Two forms of it go out and come back: the JSON map of an answer's `position`, and a token, which is the same in one short word.

Token, version 1: base64url without padding of `01`, the number of shards, for each shard by index the number of its lines that count
(both as LEB128 varints), CRC-32 of what identifies those shards (index and creation time of each), CRC-32 of all before. Checksums are
little-endian. A shard's lines from its first on are meant, so the number says where the last one is.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.errors import Invalid
from tailrace.model.sequence import offset_of, sequence_number
from tailrace.model.shard import Shard

TOKEN_VERSION = 1
TEXT_CHARS_MAX = 65_536
_HINT = "use `position` or `position_token` of an answer, whole"
_SUM_BYTES = 4
_SHARD = struct.Struct("<QQ")

Ends = Mapping[str, int]
"""Shard -> how many of its lines count, from its first on: the offset after the last one."""


def position_json(shards: Sequence[Shard], ends: Ends) -> dict[str, str | None]:
    """Shard -> sequence number of its last line that counts; None where none does."""
    return {s.id: sequence_number(s, ends[s.id] - 1) if ends.get(s.id) else None for s in shards}


def position_token(shards: Sequence[Shard], ends: Ends) -> str:
    """`shards`: all there were, by index."""
    body = bytes((TOKEN_VERSION,)) + _varint(len(shards)) + b"".join(_varint(ends.get(s.id, 0)) for s in shards)
    body += _identity(shards).to_bytes(_SUM_BYTES, "little")
    checksum = zlib.crc32(body).to_bytes(_SUM_BYTES, "little")
    return base64.urlsafe_b64encode(body + checksum).rstrip(b"=").decode()


def parse_position(text: str, shards: Sequence[Shard]) -> dict[str, int]:
    """The ends of all of `shards` (those of now, by index) that either form names; 0 for a shard that came later.

    Raises Invalid for what is damaged, of another stream, or silent about a shard that there was.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise Invalid("the position is too long", hint=_HINT)
    named = _from_json(text, shards) if text.lstrip()[:1] == "{" else _from_token(text, shards)
    _check_whole(named, shards)
    return {shard.id: named.get(shard.id, 0) for shard in shards}


def _from_json(text: str, shards: Sequence[Shard]) -> dict[str, int]:
    try:
        pairs: Any = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the position is no JSON: {error}", hint=_HINT) from error
    known = {shard.id: shard for shard in shards}
    found: dict[str, int] = {}
    for name, number in pairs:
        if name not in known:
            raise Invalid(f"the position names `{str(name)[:40]}`, and there is no such shard", hint=_HINT)
        if name in found:
            raise Invalid(f"the position names `{name}` twice", hint=_HINT)
        if number is not None and not isinstance(number, str):
            raise Invalid(f"the position of `{name}` is no sequence number", hint=_HINT)
        found[name] = 0 if number is None else offset_of(known[name], number) + 1
    return found


def _from_token(text: str, shards: Sequence[Shard]) -> dict[str, int]:
    damaged = Invalid("the position is no token, or not all of it is there", hint=_HINT)
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise damaged from error
    body, checksum = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
    if len(body) < 2 + _SUM_BYTES or zlib.crc32(body) != int.from_bytes(checksum, "little"):
        raise damaged
    if body[0] != TOKEN_VERSION:
        raise Invalid(
            f"the position's token is of version `{body[0]}`, this Tailrace reads {TOKEN_VERSION}",
            hint="use the JSON form of the position",
        )
    identity = int.from_bytes(body[-_SUM_BYTES:], "little")
    count, *ends = _varints(body[1:-_SUM_BYTES])
    if len(ends) != count:
        raise damaged
    if count > len(shards) or identity != _identity(shards[:count]):
        raise Invalid("the position is of another stream", hint="ask the node that gave it")
    return {shard.id: end for shard, end in zip(shards, ends, strict=False)}


def _check_whole(named: Ends, shards: Sequence[Shard]) -> None:
    """A shard may be missing only if it can be younger than the position: a child, with no sibling or later shard named."""
    newest = max((shard.index for shard in shards if shard.id in named), default=-1)
    born = {shard.parents for shard in shards if shard.id in named}
    for shard in shards:
        if shard.id not in named and (not shard.parents or shard.index < newest or shard.parents in born):
            raise Invalid(f"the position does not name shard `{shard.id}`, which was there", hint=_HINT)


def _identity(shards: Sequence[Shard]) -> int:
    return zlib.crc32(b"".join(_SHARD.pack(shard.index, shard.created_s) for shard in shards))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _varints(data: bytes) -> list[int]:
    """One at least: 0 if there is none."""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(value)
            value, shift = 0, 0
    return found or [0]
