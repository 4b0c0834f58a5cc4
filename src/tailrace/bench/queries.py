"""What a question costs: users' SQL over the raw lines, once these lie in the lake."""

from __future__ import annotations

from pathlib import Path

from tailrace.bench.asking import Asked, Asker
from tailrace.bench.bench_node import Loader, fresh_node, wait_covered

TOKEN = "zq7x05"
CONNECTIONS = 7
"""Each sends the token once."""
AVERAGE = "SELECT endpoint, avg(response_ms) AS mean FROM logs GROUP BY endpoint ORDER BY endpoint"
TOP = "SELECT ip, count(*) AS n FROM logs GROUP BY ip ORDER BY n DESC, ip LIMIT 10"
FREE_TEXT = f"SELECT timestamp, endpoint, message FROM logs WHERE message LIKE '%{TOKEN}%'"
TRACE = "SELECT * FROM logs WHERE trace_id = '{id}'"


def measure(lines: int, parent: Path | None) -> list[Asked]:
    """On one node with `lines` lines, seven of them with the token. Raises RuntimeError if an answer is wrong."""
    with (
        fresh_node(parent) as node,
        Loader(node.port, lines=lines, connections=CONNECTIONS, token=TOKEN) as loader,
    ):
        loader.begin()
        wait_covered(node, loader.report().lines)
        with Asker(node.port) as asker:
            [[trace_id]] = asker.rows("SELECT min(trace_id) FROM logs")
            found = [
                asker.sql(f"average by endpoint, {lines:,} lines", AVERAGE),
                asker.sql("ten busiest addresses", TOP),
                asker.sql(f"a word of {CONNECTIONS} lines", FREE_TEXT),
                asker.sql("one trace", TRACE.format(id=trace_id)),
            ]
    if [a.rows for a in found] != [10, 10, CONNECTIONS, 1]:
        raise RuntimeError(f"the answers have {[a.rows for a in found]} rows")
    return found
