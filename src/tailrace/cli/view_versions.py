"""`tailrace views diff`, `rebuild` and `rollback`: what a changed view changed, and the way back."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json
from tailrace.cli.views import app as app
from tailrace.runtime.clock import SystemClock


@app.command("diff")
@ending_with_reader
def diff(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A view whose file was changed within the last day.")],
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First window start, ISO 8601.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Windows that start before this instant.")
    ] = None,
    step: Annotated[str | None, typer.Option("--step", metavar="WIDTH", help="Coarser windows, e.g. 1h.")] = None,
    total: Annotated[bool, typer.Option("--total", help="All windows merged into one row a key.")] = False,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="A condition over the view's keys.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=10_000, help="At most so many differences.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show, row by row, what a changed view changed: the version before, and the one that answers now.

    Both are kept up to date for a day, so they are compared at the same moment, over all of history.

    ```
    tailrace views diff endpoint_health --step 1h
    tailrace views diff endpoint_health --total --json
    ```

    Exit codes: 0 no row differs, 1 some do, 2 there is no such view or no version before it, 3 no node answers.
    """
    asked = {
        "from": from_,
        "to": to,
        "step": step,
        "where": where,
        "total": "true" if total else None,
        "limit": str(limit),
    }
    path = f"/v1/views/{quote(name, safe='')}/diff"
    answer = Client(node_url(url)).get(path, {k: v for k, v in asked.items() if v is not None})
    if as_json:
        print_json(answer)
    else:
        _print_diff(answer)
    if answer["rows"]["equal"] != max(answer["rows"]["before"], answer["rows"]["now"]):
        raise typer.Exit(BAD_ANSWER)


def _print_diff(answer: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    rows = answer["rows"]
    out.print(Text.assemble((answer["view"], "bold"), f"  {answer['before']} before, {answer['now']} now"))
    out.print(
        f"{rows['equal']:,} rows equal, {rows['changed']:,} changed, {rows['gone']:,} gone, {rows['new']:,} new",
        markup=False,
    )
    for words, names in (("only before", answer["only_before"]), ("only now", answer["only_now"])):
        if names:
            out.print(f"columns {words}, not compared: {', '.join(names)}", markup=False)
    if not answer["differences"]:
        return
    table = Table("", "row", "column", "before", "now", show_edge=False, header_style="bold")
    colours = {"changed": "yellow", "gone": "red", "new": "green"}
    for row in answer["differences"]:
        key = "  ".join(_value(value) for name, value in row.items() if name not in ("change", "columns"))
        label = Text(row["change"], colours[row["change"]])
        for column, values in row["columns"].items():
            table.add_row(label, Text(key, no_wrap=True), Text(column), _value(values["before"]), _value(values["now"]))
            label, key = Text(""), ""
    out.print(table)
    shown, all_of_them = len(answer["differences"]), rows["changed"] + rows["gone"] + rows["new"]
    if shown < all_of_them:
        out.print(f"[dim]{shown:,} of {all_of_them:,} rows that differ; more with --limit[/]")


def _value(value: Any) -> str:
    return "-" if value is None else str(value)


@app.command("rebuild")
@ending_with_reader
def rebuild(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A view that is served.")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return once it is done.")] = True,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Compute a view anew from all of history, from the lake alone; it answers as it is until that is done.

    For a view whose two layers were found to differ: the drift badge is settled by it.

    ```
    tailrace views rebuild endpoint_health
    ```

    Exit codes: 0 done, 2 there is no such view, 3 no node answers.
    """
    client = Client(node_url(url))
    with client.post(f"/v1/views/{quote(name, safe='')}/rebuild", {}) as response:
        answer = json.loads(response.read())
    if wait:
        answer = _wait_for(client, name, as_json=as_json)
    if as_json:
        print_json(answer)
    else:
        console().print(f"{name}: {answer['status']}", markup=False)


@app.command("rollback")
@ending_with_reader
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A view whose file was changed within the last day.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Let the version that a view had before answer again. At once: it was kept up to date. Run again to undo it.

    The view's file stays as it is; as soon as it is changed once more, the file counts again.

    ```
    tailrace views rollback endpoint_health
    ```

    Exit codes: 0 done, 2 there is no such view or no version before it, 3 no node answers.
    """
    with Client(node_url(url)).post(f"/v1/views/{quote(name, safe='')}/rollback", {}) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
        return
    console().print(f"{name} answers as version {answer['version']} again, in place of {answer['left']}", markup=False)


def _wait_for(client: Client, name: str, *, as_json: bool) -> dict[str, Any]:
    """The view's row once it is no longer being rebuilt."""
    shown = contextlib.nullcontext() if as_json else console().status(f"{name} is computed anew from history")
    clock = SystemClock()
    with shown:
        while True:
            listed = client.get("/v1/views")["views"]
            row: dict[str, Any] = next((v for v in listed if v["name"] == name), {"name": name, "status": "gone"})
            if row["status"] != "rebuilding":
                return row
            clock.sleep(0.3)
