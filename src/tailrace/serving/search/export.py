"""All records that a search finds, as they come: CSV, NDJSON or Parquet of any length, in the order of the lake's files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from tailrace.model.fields import EXTRA
from tailrace.serving.search.asked import ExportAsked
from tailrace.serving.search.ground import Search
from tailrace.serving.search.page import rows_of, selected
from tailrace.serving.sql.answer import Format, StreamWriter

COUNTED_ROWS_MAX = 20_000_000
"""More rows to look at than this are not counted first: the count would cost as much as the answer."""
_BATCH_ROWS = 8_192
_ENCODER = msgspec.json.Encoder(decimal_format="number")
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


class Export:
    """One export. `count`: of the records that come, None where it is not known before they do."""

    def __init__(self, search: Search, asked: ExportAsked) -> None:
        self._search = search
        self._form = asked.format
        search.take(asked.at)
        wanted = search.wanted(asked.query, asked.sql, asked.times())
        self._names, columns = selected(search.fields, asked.columns)
        part = search.part(wanted)
        self.count: int | None = None
        if part.rows <= COUNTED_ROWS_MAX:
            relation = search.relation(part)
            self.count = search.rows(f"SELECT count(*) FROM {relation} AS r WHERE {wanted.condition}")[0][0]
        self.position = search.position
        statement = f"SELECT {columns} FROM {search.relation(part)} AS r WHERE {wanted.condition}"
        self._reader = search.reader(statement, _BATCH_ROWS)
        self._writer = None if self._form == "ndjson" else StreamWriter(Format(self._form), self._schema())

    def chunks(self) -> Iterator[bytes]:
        while True:
            with self._search.translating():
                try:
                    batch = self._reader.read_next_batch()
                except StopIteration:
                    break
                chunk = self._chunk(pa.Table.from_batches([batch]))
            yield chunk
        yield self._writer.end() if self._writer else b""

    def close(self) -> None:
        self._reader.close()

    def _schema(self) -> pa.Schema:
        there = {field.name: field.type for field in self._reader.schema}
        return pa.schema([(n, there.get(n, pa.string())) for n, _ in self._names])

    def _chunk(self, found: pa.Table) -> bytes:
        if self._writer is None:
            return self._lines(found)
        numbers = rows_of(self._search, found.select(["_shard", "_offset", "_arrived_at", "_at_us"]))
        found = found.append_column("_sequence_number", pa.array([row[1] for row in numbers], pa.string()))
        table = found.select([name for name, _ in self._names]).cast(self._schema())
        return b"".join(self._writer.add(batch) for batch in table.to_batches())

    def _lines(self, found: pa.Table) -> bytes:
        names = [name for name, _ in self._names]
        lines = (dict(zip(names, row, strict=True)) for row in rows_of(self._search, found))
        return b"".join(_ENCODER.encode(_opened(line)) + b"\n" for line in lines)


def _opened(line: dict[str, Any]) -> dict[str, Any]:
    """`extra` as the object that it is."""
    if isinstance(line.get(EXTRA), str):
        line[EXTRA] = msgspec.Raw(line[EXTRA].encode())
    return line
