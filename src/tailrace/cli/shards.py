"""`tailrace shards list`, `tailrace shards split` and `tailrace shards merge`."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console, ending_with_reader, print_json

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
Shard = Annotated[str, typer.Argument(metavar="SHARD", help="As listed, e.g. shardId-000000000000.")]


@app.callback()
def shards() -> None:
    """The parts of the stream: which keys each takes, how full it is, what it came from."""


@app.command("list")
@ending_with_reader
def list_shards(
    open_only: Annotated[bool, typer.Option("--open", help="Leave out the closed ones.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the shards of a running node, open and closed.

    A shard takes the lines whose partition key has an MD5 in its range of hash keys; `share` is how much of all hash keys that is.
    A closed shard takes nothing any more: its children do, and its lines come before theirs. `--json` prints the ranges and the
    sequence numbers too.

    ```
    tailrace shards list
    tailrace shards list --open --json
    ```

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/shards")
    if open_only:
        answer["shards"] = [shard for shard in answer["shards"] if shard["state"] == "open"]
    if as_json:
        print_json(answer)
        return
    _show(answer["shards"])


@app.command("split")
@ending_with_reader
def split(
    shard: Shard,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="HASHKEY", help="First hash key of the second child. Without it: the middle of the range."
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Close a shard and open two in its place, while lines come in.

    No line is lost or doubled, the lines of a key keep their order, and posts that meet the closed shard go on to its children by
    themselves. There is nothing to restart. Take one whose share of the lines is more than one disk or one reader can bear.

    ```
    tailrace shards split shardId-000000000000
    tailrace shards split shardId-000000000000 --at 42535295865117307932921825928971026432
    ```

    Exit codes: 0 done, 2 it cannot be split (nothing has changed), 3 no node answers.
    """
    _reshard(url, shard, "split", {} if at is None else {"new_starting_hash_key": at}, as_json=as_json)


@app.command("merge")
@ending_with_reader
def merge(
    shard: Shard,
    adjacent: Annotated[
        str, typer.Argument(metavar="SHARD", help="The other: its range must touch that of the first.")
    ],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Close two neighbouring shards and open one in their place, while lines come in.

    What `tailrace shards split` promises holds here too.

    ```
    tailrace shards merge shardId-000000000002 shardId-000000000003
    ```

    Exit codes: 0 done, 2 they cannot be merged (nothing has changed), 3 no node answers.
    """
    _reshard(url, shard, "merge", {"adjacent": adjacent}, as_json=as_json)


def _reshard(url: str | None, shard: str, what: str, body: dict[str, str], *, as_json: bool) -> None:
    with Client(node_url(url)).post(f"/v1/shards/{quote(shard, safe='')}/{what}", body) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
        return
    console().print(f"closed {_names(answer['closed'])}; open in its place: {_names(answer['children'])}\n")
    _show([*answer["closed"], *answer["children"]])


def _names(rows: list[dict[str, Any]]) -> str:
    return " and ".join(f"[bold]{row['id']}[/]" for row in rows)


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("shard", "state", show_edge=False, header_style="bold")
    for name in ("share", "lines", "size", "epochs"):
        table.add_column(name, justify="right")
    table.add_column("parents")
    table.add_column("children")
    for row in rows:
        is_open = row["state"] == "open"
        last = row["open_epoch"] if is_open else row["last_epoch"]
        table.add_row(
            Text(row["id"], "bold" if is_open else "dim", no_wrap=True),
            Text(row["state"], "green" if is_open else "dim"),
            f"{100 * row['share']:.2f} %",
            f"{row['lines']:,}",
            f"{row['bytes'] / (1 << 20):,.1f} MiB",
            f"{row['first_epoch']}-{last}" if last >= row["first_epoch"] else "none",
            Text(_short(row["parents"])),
            Text(_short(row["children"])),
        )
    console().print(table)


def _short(ids: list[str]) -> str:
    """The numbers alone: the long form is in the first column."""
    return ", ".join(str(int(name.partition("-")[2])) for name in ids) or "-"
