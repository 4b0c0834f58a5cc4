"""Whether each `200` with a position was sent only once all that it acknowledges was certainly on disk: from a trace alone.

For an offset that is acknowledged, the shard's newest file that holds it is looked for in what the process had written. If that is
in the file's WAL, every byte of the WAL up to the end of the transaction must be certain, else every byte of the file; and so must
each name on the way there. Pure.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tailrace.model.shard import shard_index
from tailrace.testing.disk import Disk, Node, parent
from tailrace.testing.syscalls import Event, Kind

STATE_PAGE = 3
"""The page of the table `state`: SQLite gives pages in the order in which the tables are made."""
_WAL_HEAD = 32
_FRAME_HEAD = 24


@dataclass(frozen=True, slots=True)
class Ack:
    """`began`: when its first byte was sent. `offsets`: shard -> last offset it acknowledges."""

    began: int
    offsets: dict[str, int]


def unsynced_acks(events: Sequence[Event], root: str) -> list[str]:
    """What is wrong, a line each; empty if every ack was good. `root`: the folder above that of the stream."""
    acks = list(acks_of(events))
    problems: list[str] = []
    disk, fed = Disk(root), 0
    for ack in acks:
        while fed < len(events) and events[fed].ended < ack.began:
            disk.feed(events[fed])
            fed += 1
        for shard, offset in sorted(ack.offsets.items()):
            problem = _problem(disk, shard, offset)
            if problem:
                problems.append(f"offset {offset} of {shard} was acknowledged at {ack.began}: {problem}")
    return problems


def acks_of(events: Iterable[Event]) -> Iterator[Ack]:
    """Each whole `200` answer with a position, by the time its first byte was sent."""
    found: list[Ack] = []
    held: dict[str, tuple[int, bytes]] = {}
    for event in events:
        if event.kind is not Kind.SEND:
            continue
        began, data = held.pop(event.path, (event.began, b""))
        data += event.data
        while data.startswith(b"HTTP/1.1 ") and (end := _answer_end(data)) is not None:
            body, data = data[data.index(b"\r\n\r\n") + 4 : end], data[end:]
            if position := _position(body):
                found.append(Ack(began, {shard: _offset(shard, number) for shard, number in position.items()}))
            began = event.began
        if data.startswith(b"HTTP/1.1 200"):
            held[event.path] = (began, data)
    return iter(sorted(found, key=lambda ack: ack.began))


def _answer_end(data: bytes) -> int | None:
    """Where the first answer ends, None if it is not whole yet."""
    head, mark, _ = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if not mark or not lengths:
        return None
    end = len(head) + 4 + int(lengths[0].partition(b":")[2])
    return end if len(data) >= end else None


def _position(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    position = found.get("position") if isinstance(found, dict) else None
    return position if isinstance(position, dict) else {}


def _offset(shard: str, number: str) -> int:
    """The offset in a sequence number, whose layout `tailrace.model.sequence` gives."""
    value = int(number)
    assert value >> 4 & 0xFFFFFFFF == shard_index(shard), f"{number} is not of {shard}"
    return (value >> 68 & (1 << 64) - 1) - 1


def _problem(disk: Disk, shard: str, offset: int) -> str:
    """Why `offset` is not certain to outlive a power cut now, or nothing."""
    files = sorted(p for p in disk.cached if parent(p).endswith(f"/{shard}") and p.endswith(".db") and "/." not in p)
    for path in reversed(files):
        node, log = disk.cached[path], disk.cached.get(f"{path}-wal", Node())
        ends = [end for end, next_offset in transactions(log.cached) if next_offset > offset]
        if ends:
            if log.durable[: ends[0]] != log.cached[: ends[0]]:
                return f"its transaction in {path}-wal was not synced"
            return _unnamed(disk, path) or _unnamed(disk, f"{path}-wal")
        held = _next_offset(bytes(node.cached), (STATE_PAGE - 1) * page_bytes(node.cached))
        if held is not None and held > offset:
            if node.durable != node.cached:
                return f"{path} was not synced"
            return _unnamed(disk, path)
    return "nothing that holds it was written"


def _unnamed(disk: Disk, path: str) -> str:
    """Which name on the way to `path` is not certain."""
    while path != disk.root:
        if disk.durable.get(path) is not disk.cached.get(path):
            return f"the name {path} was not synced"
        path = parent(path)
    return ""


def page_bytes(content: bytearray) -> int:
    size = int.from_bytes(content[16:18], "big")
    return 65536 if size == 1 else size


def transactions(wal: bytearray) -> Iterator[tuple[int, int]]:
    """(end, next offset) of each whole transaction in a WAL that writes `state`, in order. Source: sqlite.org/fileformat, section 4."""
    if len(wal) < _WAL_HEAD:
        return
    size = int.from_bytes(wal[8:12], "big")
    salts, at, next_offset = bytes(wal[16:24]), _WAL_HEAD, None
    while at + _FRAME_HEAD + size <= len(wal) and wal[at + 8 : at + 16] == salts:
        page, pages_after = struct.unpack_from(">II", wal, at)
        if page == STATE_PAGE:
            next_offset = _next_offset(wal, at + _FRAME_HEAD)
        at += _FRAME_HEAD + size
        if pages_after and next_offset is not None:
            yield at, next_offset


def _next_offset(content: bytes | bytearray, page: int) -> int | None:
    """The second column of the one row in the leaf of `state` that begins at `page`. None if there is no row."""
    if len(content) < page + 10 or content[page] != 13 or content[page + 3 : page + 5] == b"\0\0":
        return None
    at = page + int.from_bytes(content[page + 8 : page + 10], "big")
    _, at = _varint(content, at)
    _, at = _varint(content, at)
    head, after = _varint(content, at)
    body, (_, second) = at + head, _varint(content, after)
    kind, _ = _varint(content, second)
    if kind in (8, 9):
        return kind - 8
    width = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}[kind]
    return int.from_bytes(content[body : body + width], "big", signed=True)


def _varint(content: bytes | bytearray, at: int) -> tuple[int, int]:
    """(value, offset after it)."""
    value = 0
    for index in range(8):
        byte = content[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | content[at + 8], at + 9
