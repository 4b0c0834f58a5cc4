"""`/v1/tail`: the newest records as server-sent events, filtered on the server, sampled visibly when there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tailrace.dashboard.access import grants_of, require_stream
from tailrace.dashboard.encode import encode, known_parameters, limit_of
from tailrace.dashboard.services import NodeServices
from tailrace.model.sequence import sequence_number
from tailrace.model.window import iso
from tailrace.serving.search.bind import compile_search
from tailrace.serving.tail import TailPage, tail_table
from tailrace.stream.base import Block
from tailrace.stream.codec import plain
from tailrace.views.dialects.duckdb.engine import registered, rows_as_arrow, thread_engine
from tailrace.views.dialects.duckdb.expression import print_expression
from tailrace.views.expression import Expression, conjunction
from tailrace.views.record_filter import bind_record_filter
from tailrace.views.stream import LOGS

ROWS_PER_TICK_MAX = 100
BACKLOG_DEFAULT, BACKLOG_MAX = 50, 1000
TICK_S = 0.2
LINES_TOGETHER = 8_192


async def tail(request: Request) -> StreamingResponse:
    """`query`: in the search language; `where`: SQL over the record's fields. `stream`: only its records.

    `limit`: how many of the newest records to begin with (0 to 1000, default 50).
    """
    services: NodeServices = request.app.state.services
    params = known_parameters(request, {"query", "where", "stream", "limit"})
    require_stream(services, grants_of(request), params.get("stream", "").strip() or LOGS)
    condition = _condition(services, params)
    backlog = limit_of(params, 0, BACKLOG_MAX, BACKLOG_DEFAULT)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(services, condition, backlog), media_type="text/event-stream", headers=headers)


def _condition(services: NodeServices, params: dict[str, str]) -> str | None:
    """What a record must fulfil, None for nothing. A stream is that of the moment: it does not change while the tail runs."""
    conditions: list[Expression] = []
    if name := params.get("stream", "").strip():
        conditions += services.follower.catalog.state.stream(name).conditions if name.lower() != LOGS else ()
    if query := params.get("query"):
        _, bound = compile_search(query, services.settings.fields)
        conditions += [bound] if bound is not None else []
    if where := params.get("where"):
        conditions.append(bind_record_filter(where, services.settings.fields))
    whole = conjunction(conditions)
    return None if whole is None else print_expression(whole)


async def _events(services: NodeServices, condition: str | None, backlog: int) -> AsyncIterator[bytes]:
    buffer = services.follower.tail
    page = buffer.after(-1_000_000_000)
    rows, left_out = await asyncio.to_thread(_select, services, page, condition, backlog)
    yield b": tailrace\n\n"
    for row in rows:
        yield _event("row", row)
    cursor, idle_ticks = page.cursor, 0
    while True:
        services.follower.watch()
        await asyncio.sleep(TICK_S)
        page = buffer.after(cursor)
        cursor = page.cursor
        if not page.blocks:
            idle_ticks += 1
            if idle_ticks % 25 == 0:
                yield b": still here\n\n"
            continue
        rows, left_out = await asyncio.to_thread(_select, services, page, condition, ROWS_PER_TICK_MAX)
        if left_out + page.skipped:
            yield _event("gap", _sampled(len(rows), left_out + page.skipped))
        for row in rows:
            yield _event("row", row)


def _sampled(shown: int, skipped: int) -> dict[str, Any]:
    """What a tail says that cannot show all: of a tick's lines, and so of a second's, about how many are shown."""
    per_second = round(1 / TICK_S)
    return {"skipped": skipped, "shown_per_s": shown * per_second, "matched_per_s": (shown + skipped) * per_second}


def _event(kind: str, value: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode(value) + b"\n\n"


def _select(
    services: NodeServices, page: TailPage, condition: str | None, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """The newest `limit` records that match, oldest first, and how many more matched."""
    if not page.blocks or limit == 0:
        return [], 0
    shards = {shard.id: shard for shard in services.stream.shards()}
    schema = services.settings.fields.record_schema()
    found: list[dict[str, Any]] = []
    matched = 0
    connection = thread_engine()
    for first, blocks in _newest_first(page.blocks):
        table = _matching(connection, _joined(blocks, schema), condition)
        matched += table.num_rows
        for row in reversed(table.slice(max(0, table.num_rows - (limit - len(found)))).to_pylist()):
            shard = blocks[row.pop("_block")].shard_id
            row["_shard"] = shard
            row["_sequence_number"] = sequence_number(shards[shard], row.pop("_offset"))
            row["_arrived_at"] = iso(row["_arrived_at"])
            found.append(row)
        if len(found) >= limit and condition is None:
            matched += sum(older.count for older in page.blocks[:first])
            break
    found.sort(key=lambda row: (row["_arrived_at"], row["timestamp"]))
    return found, matched - len(found)


def _newest_first(blocks: Sequence[Block]) -> Iterator[tuple[int, Sequence[Block]]]:
    """Blocks a few thousand lines together, as asking costs more than looking; with the place of the first of them."""
    end = len(blocks)
    while end:
        first, lines = end - 1, blocks[end - 1].count
        while first and lines < LINES_TOGETHER:
            first -= 1
            lines += blocks[first].count
        yield first, blocks[first:end]
        end = first


def _joined(blocks: Sequence[Block], schema: pa.Schema) -> pa.Table:
    """Their good records, in order, with `_offset`, `_arrived_at` and `_block`, the place of their block."""
    whole = pa.schema([*schema, *(pa.field(name, pa.int64()) for name in ("_offset", "_arrived_at"))])
    tables = [plain(tail_table(block), whole) for block in blocks]
    places = [pa.nulls(t.num_rows, pa.int64()).fill_null(n) for n, t in enumerate(tables)]
    return pa.concat_tables(tables).append_column("_block", pa.chunked_array(places, pa.int64()))


def _matching(connection: duckdb.DuckDBPyConnection, table: pa.Table, condition: str | None) -> pa.Table:
    if condition is None:
        return table
    with registered(connection, tail_records=table):
        return rows_as_arrow(connection, f"SELECT * FROM tail_records AS r WHERE {condition} ORDER BY _block, _offset")
