"""The records before and after one, in its shard."""

from __future__ import annotations

from typing import Any

from tailrace.errors import NotFound
from tailrace.model.sequence import offset_of
from tailrace.serving.search.asked import ContextAsked
from tailrace.serving.search.ground import Part, Search, Wanted
from tailrace.serving.search.page import rows_of, selected
from tailrace.serving.search.pieces import Times

_WIDEST = 1 << 40


def search_context(search: Search, asked: ContextAsked) -> dict[str, Any]:
    """`index`: which of the rows is the one that was asked about. Raises NotFound, Invalid."""
    shard = next((s for s in search.stream.shards() if s.id == asked.shard), None)
    if shard is None:
        raise NotFound(f"there is no shard `{asked.shard[:100]}`", hint="use `_shard` of a record that was found")
    offset = offset_of(shard, asked.sequence_number)
    search.take(None)
    names, columns = selected(search.fields, None)
    span = 2 * max(asked.before, asked.after) + 64
    while True:
        low, high = offset - span, offset + span
        part = _around(search, shard.id, low, high)
        relation = search.relation(part)
        place = f"r._shard = '{shard.id}' AND r._offset"
        head = f"SELECT {columns} FROM {relation} AS r WHERE {place}"
        found = search.table(
            f"(SELECT * FROM ({head} BETWEEN {low} AND {offset}) ORDER BY _offset DESC LIMIT {asked.before + 1}) UNION ALL "
            f"(SELECT * FROM ({head} BETWEEN {offset + 1} AND {high}) ORDER BY _offset LIMIT {asked.after}) ORDER BY _offset"
        )
        offsets = found["_offset"].to_pylist()
        if offset not in offsets:
            raise NotFound("the record is not kept any more, or it is a dead letter", hint="search anew")
        index = offsets.index(offset)
        full_before = index >= asked.before or low <= 0
        full_after = len(offsets) - index - 1 >= asked.after or high >= search.ends[shard.id]
        if (full_before and full_after) or span > _WIDEST:
            break
        span *= 64
    return {
        "columns": [{"name": n, "type": t} for n, t in names],
        "rows": rows_of(search, found),
        "index": index,
    }


def _around(search: Search, shard: str, low: int, high: int) -> Part:
    everything = search.part(Wanted("TRUE", Times()))
    pieces = [p for p in everything.pieces if p.file.shard_id == shard and p.first <= high and p.last >= low]
    return Part(tuple(pieces), everything.tail, sum(p.rows for p in pieces))
