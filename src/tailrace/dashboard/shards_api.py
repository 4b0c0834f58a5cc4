"""`/v1/shards`: list the shards, split one, merge two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tailrace.dashboard.encode import json_response, known_parameters
from tailrace.dashboard.services import NodeServices
from tailrace.errors import Invalid
from tailrace.model.sequence import sequence_number
from tailrace.model.shard import HASH_KEYS, Shard
from tailrace.model.window import iso
from tailrace.runtime.unreadable import UNREADABLE
from tailrace.stream.base import Resharded, StreamBackend
from tailrace.stream.resharding import children_of

BODY_BYTES_MAX = 4_096
_SHARE_DIGITS = 6


async def list_shards(request: Request) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())

    def answer() -> dict[str, Any]:
        shards = services.stream.shards()
        return {"shards": _rows(services.stream, shards), "open": sum(not s.closed for s in shards)}

    return json_response(await asyncio.to_thread(answer))


async def split_shard(request: Request) -> Response:
    """Body, optional: `{"new_starting_hash_key": "..."}`, where the second child begins; without it, the middle."""
    body = await _body(request, "new_starting_hash_key")
    at = _hash_key(body["new_starting_hash_key"]) if "new_starting_hash_key" in body else None
    shard = request.path_params["id"]
    return await _resharded(request, lambda stream: stream.split(shard, at))


async def merge_shards(request: Request) -> Response:
    """Body: `{"adjacent": "shardId-..."}`, the neighbour to merge with."""
    body = await _body(request, "adjacent")
    adjacent = body.get("adjacent")
    if not isinstance(adjacent, str):
        raise Invalid("a merge needs the shard to merge with", hint='send {"adjacent": "shardId-000000000001"}')
    shard = request.path_params["id"]
    return await _resharded(request, lambda stream: stream.merge(shard, adjacent))


async def _resharded(request: Request, work: Callable[[StreamBackend], Resharded]) -> Response:
    services: NodeServices = request.app.state.services
    known_parameters(request, ())

    def answer() -> dict[str, Any]:
        done = work(services.stream)
        return {
            "closed": _rows(services.stream, done.closed),
            "children": _rows(services.stream, done.children),
        }

    return json_response(await asyncio.to_thread(answer))


async def _body(request: Request, name: str) -> dict[str, Any]:
    """The request's JSON object, empty where there is none. Raises Invalid for one with anything but `name` in it."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES_MAX:
            raise Invalid(f"the body is longer than `{BODY_BYTES_MAX}` bytes", hint=f'send {{"{name}": "..."}}')
    if not content.strip():
        return {}
    try:
        found = msgspec.json.decode(content)
    except UNREADABLE as error:
        raise Invalid(f"the body is not JSON: {error}", hint=f'send {{"{name}": "..."}}') from error
    if not isinstance(found, dict) or found.keys() - {name}:
        raise Invalid(f"the body must be an object with `{name}`", hint=f'send {{"{name}": "..."}}')
    return found


def _hash_key(value: object) -> int:
    """As text, since most JSON readers round numbers of 128 bits; a whole number is taken too."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(HASH_KEYS)):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Invalid(
        "`new_starting_hash_key` must be a whole number, as text",
        hint=f"for example {HASH_KEYS // 4}; leave it out for the middle",
    )


def _rows(stream: StreamBackend, shards: Sequence[Shard]) -> list[dict[str, Any]]:
    children = children_of(stream.shards())
    return [_row(stream, shard, children.get(shard.id, ())) for shard in shards]


def _row(stream: StreamBackend, shard: Shard, children: Sequence[str]) -> dict[str, Any]:
    """`lines`: ever given to it; `lines_kept`: not trimmed since, and the sequence numbers are of the first and the last of those."""
    end = stream.end(shard.id)
    kept = end.next_offset - end.earliest_offset
    return {
        "id": shard.id,
        "state": "closed" if shard.closed else "open",
        "hash_first": str(shard.hash_first),
        "hash_last": str(shard.hash_last),
        "share": round(shard.hash_keys / HASH_KEYS, _SHARE_DIGITS),
        "parents": list(shard.parents),
        "children": list(children),
        "created_at": iso(shard.created_s * 1_000_000),
        "lines": end.next_offset,
        "lines_kept": kept,
        "bytes": end.bytes,
        "first_sequence_number": sequence_number(shard, end.earliest_offset) if kept else None,
        "last_sequence_number": sequence_number(shard, end.next_offset - 1) if kept else None,
        "first_epoch": shard.first_epoch,
        "open_epoch": None if shard.closed else end.open_epoch,
        "last_epoch": shard.last_epoch,
    }
