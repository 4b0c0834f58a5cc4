"""`tailrace search`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console
from tailrace.cli.tail import one_line

PAGE_ROWS = 1000


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="In the search language; an empty text finds everything.")
    ],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only records from this time on: ISO 8601, or 15m ago: -15m."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only records before this time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Records at most, newest first.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Find records, newest first.

    Shows each record on a line. `--json` prints each whole, with its place in the stream. The language is that of the page:
    `field:value`, `field:>500`, `field:100..200`, `/api/*`, words, "phrases", and, or, not, parentheses.

    ```
    tailrace search 'level:error "timed out"'
    tailrace search 'status:>=500 -endpoint:/health' --from -15m
    tailrace search 'endpoint:/api/* and (response_ms:>1000 or level:error)' --limit 1000 --json
    ```

    Exit codes: 0 done, 2 the search cannot be read, 3 no node answers.
    """
    client = Client(node_url(url))
    asked: dict[str, Any] = {"query": query, "limit": min(limit, PAGE_ROWS)}
    asked |= {name: instant(text) for name, text in (("from", since), ("to", to)) if text is not None}
    out, left = console(), limit
    while left > 0:
        with client.post("/v1/search", asked, "application/json") as response:
            page = json.loads(response.read())
        names = [column["name"] for column in page["columns"]]
        for row in page["rows"][:left]:
            record = dict(zip(names, row, strict=True))
            if as_json:
                sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
            else:
                out.print(one_line(record), soft_wrap=True)
        left -= len(page["rows"])
        if page["cursor"] is None:
            return
        asked |= {"cursor": page["cursor"], "limit": min(max(left, 1), PAGE_ROWS)}


def instant(text: str) -> str:
    """ISO 8601 as it is; `-15m` as the time that was so long ago."""
    from tailrace.model.window import duration_us, iso
    from tailrace.runtime.clock import SystemClock

    return iso(SystemClock().now_us() - duration_us(text[1:])) if text.startswith("-") else text
