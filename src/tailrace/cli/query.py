"""`tailrace query`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console
from tailrace.errors import Invalid

CHUNK_BYTES = 1 << 16


def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT in DuckDB's SQL; `-` reads it from standard input.")
    ],
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV; long results stream.")] = False,
    url: Url = None,
) -> None:
    """Ask with SQL over `logs`, the streams and the views.

    `logs` holds every record, each with all fields, from the first one to those of this moment. Each stream is those of them that
    fulfil its condition; each view is a table of its name. Queries can only read, and are bounded in time and memory; see `[query]`
    in `tailrace.toml`.

    ```
    tailrace query "SELECT endpoint, count(*) FROM logs GROUP BY ALL ORDER BY 2 DESC"
    tailrace query "SELECT * FROM endpoint_health ORDER BY window_start DESC LIMIT 10"
    tailrace query --csv "SELECT timestamp, ip FROM logs WHERE status = 503" > failures.csv
    tailrace query --json "SELECT max(response_ms) AS slowest FROM logs"
    ```

    Exit codes: 0 done, 2 the SQL is wrong, 3 no node answers.
    """
    if as_json and as_csv:
        raise Invalid("`--json` and `--csv` are given both", hint="choose one of them")
    text = sys.stdin.read() if sql == "-" else sql
    client = Client(node_url(url))
    response = client.post("/v1/query", {"sql": text}, "text/csv" if as_csv else "application/json")
    if as_json or as_csv:
        with response:
            while chunk := response.read1(CHUNK_BYTES):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if as_json:
                sys.stdout.buffer.write(b"\n")
        return
    import json

    with response:
        print_table(json.loads(response.read()))


def print_table(answer: dict[str, Any]) -> None:
    """Rows as a table, and below it how many they are and how long it took."""
    from rich.table import Table
    from rich.text import Text

    from tailrace.cli.cells import cell, is_number

    table = Table(show_edge=False, header_style="bold")
    for column in answer["columns"]:
        table.add_column(
            Text(column["name"]), justify="right" if is_number(column["type"]) else "left", overflow="fold"
        )
    for row in answer["rows"]:
        table.add_row(*(cell(value) for value in row))
    out = console()
    out.print(table)
    count = len(answer["rows"])
    words = f"{count} {'row' if count == 1 else 'rows'}"
    if answer.get("truncated"):
        words += ", and more that are not shown (use --csv for all)"
    if "elapsed_ms" in answer:
        words += f", {answer['elapsed_ms']:,.0f} ms"
    console(stderr=True).print(Text(words, style="dim"))
