"""Decoded blocks of the stream, kept while they fit: what `logs` shows of the records that the lake has not taken over yet.

A block never changes, so a hit is always right. The bound is on bytes; a tail larger than that is read from the stream again by
each query, a page at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

import pyarrow as pa

from tailrace.batch.consumer import lake_rows
from tailrace.errors import GapFound
from tailrace.stream.base import Block, ReadRequest, StreamBackend
from tailrace.stream.codec import plain

CACHE_BYTES_MAX = 128 << 20
_PAGE_BYTES_MAX = 4 << 20


class BlockCache:
    """Good records of blocks, with the lake's columns and in its types. Any thread may read."""

    def __init__(self, stream: StreamBackend, schema: pa.Schema, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self.schema = schema
        self._stream = stream
        self._bytes_max = bytes_max
        self._held: OrderedDict[tuple[str, int], tuple[pa.Table, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def records(self, shard_id: str, first_offset: int, end_offset: int) -> Iterator[pa.Table]:
        """Good records with offsets in [first_offset, end_offset), in order; both are bounds of blocks.

        Raises GapFound if the stream has a hole there, Trimmed if it no longer has all of it.
        """
        offset = first_offset
        while offset < end_offset:
            known = self._known(shard_id, offset)
            if known is not None:
                records, count = known
                yield records
                offset += count
                continue
            page = self._stream.read(ReadRequest(shard_id, offset, max_bytes=_PAGE_BYTES_MAX))
            if not page:
                raise GapFound(shard_id, offset, end_offset - 1)
            for block in page:
                if offset >= end_offset:
                    break
                if block.first_offset != offset:
                    raise GapFound(shard_id, offset, block.first_offset - 1)
                yield self._keep(block)
                offset = block.last_offset + 1

    def _known(self, shard_id: str, offset: int) -> tuple[pa.Table, int] | None:
        with self._lock:
            known = self._held.get((shard_id, offset))
            if known is not None:
                self._held.move_to_end((shard_id, offset))
            return known

    def _keep(self, block: Block) -> pa.Table:
        records = plain(lake_rows(block), self.schema)
        key = (block.shard_id, block.first_offset)
        with self._lock:
            if key not in self._held:
                self._held[key] = (records, block.count)
                self._bytes += records.nbytes
            while self._bytes > self._bytes_max:
                _, (dropped, _) = self._held.popitem(last=False)
                self._bytes -= dropped.nbytes
        return records
