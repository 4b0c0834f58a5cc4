"""`tailrace explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.console import Console

ROWS_SHOWN = 12
PARTS_SHOWN = 6

MERGES = {
    "count": "counts are added",
    "sum": "sums are added",
    "avg": "sum and count are added, then divided once",
    "min": "the smaller one counts",
    "max": "the larger one counts",
    "min_n": "of both lists the smallest stay",
    "max_n": "of both lists the largest stay",
    "first": "the earlier one by event time counts",
    "last": "the later one by event time counts",
    "bool_and": "false counts more than true",
    "bool_or": "true counts more than false",
    **dict.fromkeys(
        ("stddev_samp", "stddev_pop", "var_samp", "var_pop"),
        "count, sum and sum of squares are added, then divided once",
    ),
    "quantile": "histogram bins are added, then the rank is looked up",
    "distinct": "HyperLogLog registers: the larger one counts, then estimated once",
}


def explain(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="Name of a view, e.g. endpoint_health.")],
    window: Annotated[
        str,
        typer.Argument(metavar="WINDOW", help="Any instant inside the window: 2026-11-22T10:00:00Z, now, now-30s."),
    ],
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only keys for which this condition holds.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show how a number came about: batch part, speed part, frontier, merge.

    Every answer of a view is put together from two halves that were computed apart: batch, from the lake, up to the frontier; and
    speed, from the stream, after it. This prints both halves for one window, what lies between them, how they merge, and whether
    the two sides agreed where both had computed the same epochs.

    ```
    tailrace explain endpoint_health now-30s
    tailrace explain endpoint_health 2026-11-22T10:00:00Z
    tailrace explain endpoint_health 2026-11-22T10:00:00Z --where "endpoint = '/login'"
    tailrace explain overall_health now --json
    ```

    Exit codes: 0 done, 2 no such view or no such instant, 3 no node answers.
    """
    client = Client(node_url(url))
    params = {"window": _instant(window)} | ({"where": where} if where else {})
    found = client.get(f"/v1/explain/{view}", params)
    if as_json:
        print_json(found)
        return
    listed = client.get("/v1/views")["views"]
    kinds = {c["name"]: c["kind"] for v in listed if v["name"] == view for c in v.get("columns", [])}
    show(console(), found, kinds)


def _instant(text: str) -> str:
    """ISO text of what a person writes. Raises Invalid for what is no instant."""
    from tailrace.model.window import instant_us, iso
    from tailrace.runtime.clock import SystemClock

    return iso(instant_us(text, SystemClock().now_us()))


def show(out: Console, found: dict[str, Any], kinds: dict[str, str]) -> None:
    """The explanation as a text of five steps. `kinds`: column -> what it is, to say how it merges."""
    out.print(f"[bold]{found['view']}[/], window [bold]{found['window_start']}[/] to [bold]{found['window_end']}[/]\n")
    _show_frontier(out, found)
    _show_batch(out, found["batch"])
    _show_speed(out, found["speed"])
    _show_merge(out, found, kinds)
    _show_check(out, found)


def _show_frontier(out: Console, found: dict[str, Any]) -> None:
    _step(out, 1, "Frontier", "which records belong to which side: by the stream's epochs, never by event time")
    settled = 0
    for shard in found["shards"]:
        first, last = shard["first_epoch"], shard["last_epoch"]
        epoch = max(found["frontier"][shard["id"]], first - 1)
        if last is not None and epoch >= last:
            settled += 1
            continue
        covered = f"epochs {first} to {epoch}" if epoch >= first else "none yet"
        rest = f"epoch {epoch + 1} on" if last is None else f"epochs {epoch + 1} to {last}, its last"
        out.print(f"   {shard['id']}   batch: {covered}   speed: {rest}")
    if settled:
        out.print(f"   and {settled:,} closed shard{'s'[: settled > 1]}, all batch")
    out.print()


def _show_batch(out: Console, part: dict[str, Any]) -> None:
    _step(out, 2, "Batch part", "computed from the lake's rows of those epochs")
    segments = part["segments"]
    for segment in segments[-PARTS_SHOWN:]:
        epochs = f"epochs {segment['epoch_first']} to {segment['epoch_last']}"
        out.print(
            f"   segment of {segment['shard']}, {epochs}: {segment['records']:,} records in {segment['state_rows']:,} state rows"
        )
    _more(out, len(segments), "segments that have this window")
    _show_rows(out, part)


def _show_speed(out: Console, part: dict[str, Any]) -> None:
    _step(out, 3, "Speed part", "computed in memory from the stream's blocks, moments after they were acknowledged")
    epochs = part["epochs"]
    for epoch in epochs[-PARTS_SHOWN:]:
        state = "sealed" if epoch["sealed"] else "open"
        out.print(
            f"   {epoch['shard']}, epoch {epoch['epoch']} ({state}): {epoch['records']:,} records, of all windows"
        )
    _more(out, len(epochs), "epochs after the frontier")
    _show_rows(out, part)


def _show_merge(out: Console, found: dict[str, Any], kinds: dict[str, str]) -> None:
    _step(out, 4, "Merge", "view = finalize( merge( batch states, speed states ) )")
    example = largest_row(found, kinds)
    if example is not None:
        _show_example(out, found, kinds, example)
    _show_rows(out, found["merged"])


def largest_row(found: dict[str, Any], kinds: dict[str, str]) -> list[Any] | None:
    """The merged row to show step by step: the one with the largest first count, or the first one."""
    columns, rows = found["merged"]["columns"], found["merged"]["rows"]
    counts = [i for i, name in enumerate(columns) if kinds.get(name) == "count"]
    if not rows:
        return None
    largest: list[Any] = max(rows, key=lambda row: row[counts[0]] or 0) if counts else rows[0]
    return largest


def _show_example(out: Console, found: dict[str, Any], kinds: dict[str, str], merged: list[Any]) -> None:
    """One row, a column a line: what batch says, what speed says, what they make together and by which rule."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from tailrace.cli.cells import cell

    columns = found["merged"]["columns"]
    keys = [i for i, name in enumerate(columns) if kinds.get(name) in ("window", "key")]
    batch, speed = (_same_row(found[side], keys, merged) for side in ("batch", "speed"))
    named = ", ".join(f"{columns[i]} = {merged[i]}" for i in keys if kinds[columns[i]] == "key")
    out.print(f"   {'the row ' + named if named else 'the row'}, step by step:", markup=False)
    table = Table("column", show_edge=False, header_style="bold")
    for side in ("batch", "speed", "together"):
        table.add_column(side, justify="right")
    table.add_column("rule")
    for i, name in enumerate(columns):
        if kinds.get(name) in MERGES:
            sides = [cell(row[i]) if row else Text("-", "dim") for row in (batch, speed)]
            table.add_row(Text(name), *sides, cell(merged[i]), Text(MERGES[kinds[name]], "dim"))
    out.print(Padding(table, (0, 0, 1, 3)))


def _same_row(part: dict[str, Any], keys: list[int], row: list[Any]) -> list[Any] | None:
    wanted = [row[i] for i in keys]
    return next((other for other in part["rows"] if [other[i] for i in keys] == wanted), None)


def _show_check(out: Console, found: dict[str, Any]) -> None:
    _step(
        out, 5, "Check", "before the frontier moves over an epoch, batch's states are compared with speed's, row by row"
    )
    drift = found["drift_rows"]
    if drift:
        out.print(f"   [bold red]{drift:,} state rows differed[/]; batch won. See /v1/pipeline, findings.")
    else:
        out.print("   [green]0 state rows have differed[/] for this version of the view")
    out.print(f"   version {found['version']}", style="dim", markup=False)


def _step(out: Console, number: int, title: str, about: str) -> None:
    out.print(f"[bold cyan]{number}  {title}[/]  [dim]{about}[/]")


def _more(out: Console, count: int, what: str) -> None:
    if count == 0:
        out.print(f"   no {what}")
    elif count > PARTS_SHOWN:
        out.print(f"   and {count - PARTS_SHOWN:,} more {what}", style="dim")


def _show_rows(out: Console, part: dict[str, Any]) -> None:
    """The finalized rows of one side, or that it has none."""
    from rich.padding import Padding
    from rich.table import Table

    from tailrace.cli.cells import cell

    rows = part["rows"]
    if rows:
        shown = [i for i, name in enumerate(part["columns"]) if name != "window_start"]
        table = Table(show_edge=False, header_style="bold")
        for index in shown:
            numeric = any(isinstance(row[index], int | float) for row in rows)
            table.add_column(part["columns"][index], justify="right" if numeric else "left", overflow="fold")
        for row in rows[:ROWS_SHOWN]:
            table.add_row(*(cell(row[index]) for index in shown))
        out.print(Padding(table, (0, 0, 0, 3)))
        if len(rows) > ROWS_SHOWN:
            out.print(f"   and {len(rows) - ROWS_SHOWN:,} more rows: narrow it down with --where", style="dim")
    else:
        out.print("   no rows in this window", style="dim")
    out.print()
