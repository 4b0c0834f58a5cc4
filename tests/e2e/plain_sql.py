"""The expected numbers of an access log by one plain SQL statement over its lines: a regular expression and GROUP BY.

A response time behind the known parts is in seconds, as nginx writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

LOG = r"""
SELECT epoch_us(strptime(part.stamp, '%d/%b/%Y:%H:%M:%S %z')) AS at_us,
       regexp_replace(part.target, '\?.*$', '') AS endpoint,
       part.status::INTEGER AS status,
       (nullif(part.response, '')::DECIMAL(18,6) * 1000)::DECIMAL(18,3) AS response_ms,
       part.ip AS ip
FROM (SELECT regexp_extract(line,
        '^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d{3}) \S+(?: "[^"]*" "[^"]*"(?: ([0-9.]+)$)?)?',
        ['ip', 'stamp', 'method', 'target', 'status', 'response']) AS part FROM lines)
WHERE part.ip <> ''
"""


def ask(log: Path, select: str) -> list[tuple[Any, ...]]:
    """Rows of `select` over the relation `log`: at_us (microseconds since 1970), endpoint, status, response_ms, ip."""
    lines = pa.table({"line": log.read_text(encoding="utf-8").splitlines()})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("lines", lines)
        return connection.sql(f"WITH log AS ({LOG}) {select}").fetchall()
