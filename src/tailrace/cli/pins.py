"""`tailrace pins list`, `show`, `add` and `remove`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json

if TYPE_CHECKING:
    from rich.console import Console

ROWS_SHOWN = 50

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="As listed.")]


@app.callback()
def pins() -> None:
    """Results of views that stay the same for ever: kept, and computed again whenever you look."""


@app.command("list")
@ending_with_reader
def list_pins(as_json: AsJson = False, url: Url = None) -> None:
    """List what is pinned, newest first.

    ```
    tailrace pins list
    ```

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/pins")
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not answer["pins"]:
        out.print("nothing is pinned; pin a view with: tailrace pins add VIEW --from now-1h")
        return
    table = Table("id", "created", "view", "rows", "query", show_edge=False, header_style="bold")
    for pin in answer["pins"]:
        if "error" in pin:
            table.add_row(Text(pin["id"], "bold"), "", "", "", Text(pin["error"]["message"], "red"))
            continue
        query = " ".join(f"{name}={value}" for name, value in pin["query"].items())
        table.add_row(
            Text(pin["id"], "bold", no_wrap=True),
            Text(pin["created"], "dim", no_wrap=True),
            pin["view"],
            f"{pin['row_count']:,}",
            Text(query, no_wrap=True, overflow="ellipsis"),
        )
    out.print(table)


@app.command("show")
@ending_with_reader
def show(pin: Id, as_json: AsJson = False, url: Url = None) -> None:
    """Show a pinned result, and whether the same comes out when it is computed again.

    It is computed from the states, the lake and the stream at the pin's position. Once the lake has let go of its records, or the
    version of the view is gone, the stored result is shown as archived.

    ```
    tailrace pins show 2314a13cd86a3b27
    ```

    Exit codes: 0 done, 1 computed again it is another result, 2 there is no such pin, 3 no node answers.
    """
    found = Client(node_url(url)).get(f"/v1/pins/{quote(pin, safe='')}")
    if as_json:
        print_json(found)
    else:
        _print_pin(console(), found)
    if found["differs"]:
        raise typer.Exit(BAD_ANSWER)


@app.command("add")
@ending_with_reader
def add(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="Name of the view.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="First window: now-1h, or ISO 8601.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Windows that start before this time.")] = None,
    step: Annotated[str | None, typer.Option("--step", metavar="DURATION", help="Coarser windows, e.g. 1m.")] = None,
    over: Annotated[
        str | None, typer.Option("--over", metavar="DURATION", help="Hopping windows of this length, e.g. 5m.")
    ] = None,
    total: Annotated[bool, typer.Option("--total", help="All windows merged into one row a key.")] = False,
    where: Annotated[str | None, typer.Option("--where", metavar="SQL", help="Condition over the view's keys.")] = None,
    top: Annotated[int | None, typer.Option("--top", metavar="N", help="Only the N largest keys; needs --by.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="COLUMN", help="The column that --top ranks by.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="COLUMN", help="The key that --top ranks.")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="NAMES", help="Only these numbers, with commas between them.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Rows at most.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="POSITION", help="As an answer gave it. Without it: now.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Pin a result: what the view says now, or said at a position, for as long as you want it.

    `now-1h` becomes the time that it is now. The result is on disk before this returns.

    ```
    tailrace pins add endpoint_health --from now-1h --step 1m --columns requests,server_errors
    tailrace pins add overall_health --total --at AQL6AaYBUIQQLPcxbE0
    ```

    Exit codes: 0 done, 2 the view cannot answer that, 3 no node answers.
    """
    query: dict[str, Any] = {
        "from": from_,
        "to": to,
        "step": step,
        "over": over,
        "total": total or None,
        "where": where,
        "top": top,
        "by": by,
        "key": key,
        "columns": columns,
        "limit": limit,
        "at": at,
    }
    wish = {"view": view, "query": {name: value for name, value in query.items() if value is not None}}
    with Client(node_url(url)).post("/v1/pins", wish) as response:
        pinned = json.loads(response.read())
    if as_json:
        print_json(pinned)
        return
    console().print(f"pinned as [bold]{pinned['id']}[/]: {pinned['row_count']:,} rows at {pinned['position_token']}")


@app.command("remove")
@ending_with_reader
def remove(pin: Id, as_json: AsJson = False, url: Url = None) -> None:
    """Let go of a pin and its result.

    ```
    tailrace pins remove 2314a13cd86a3b27
    ```

    Exit codes: 0 done, 2 there is no such pin, 3 no node answers.
    """
    with Client(node_url(url)).open("DELETE", f"/v1/pins/{quote(pin, safe='')}") as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
        return
    console().print(f"pin {answer['id']} is gone")


def _print_pin(out: Console, found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from tailrace.cli.cells import cell

    query = " ".join(f"{name}={value}" for name, value in found["query"].items())
    for name, value in (
        ("view", f"{found['view']}, version {found['version']}"),
        ("query", query or "all of it"),
        ("position", found["position_token"]),
        ("created", found["created"]),
    ):
        out.print(Text.assemble((f"{name:<10}", "dim"), value))
    out.print(Text.assemble((f"{'result':<10}", "dim"), _verdict(found)))
    out.print()
    table = Table(*found["columns"], show_edge=False, header_style="bold")
    for row in found["rows"][:ROWS_SHOWN]:
        table.add_row(*(cell(value) for value in row))
    out.print(table)
    if len(found["rows"]) > ROWS_SHOWN:
        out.print(f"[dim]{ROWS_SHOWN} of {len(found['rows']):,} rows; all: --json[/]")


def _verdict(found: dict[str, Any]) -> tuple[str, str]:
    """What came of computing it again, and its style."""
    if found["differs"]:
        row = (found["difference"] or {}).get("row")
        place = "" if row is None else f", first in row {row}"
        return f"DIFFERS: computed again it is another one{place}; the stored one is shown", "bold red"
    if found["archived"]:
        return f"archived: {found['reason']}", "yellow"
    if not found["checked"]:
        return f"as stored, not computed again: {found['reason']}", "yellow"
    return "computed again, the same", "green"
