"""`tailrace tail`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console
from tailrace.errors import Unavailable

if TYPE_CHECKING:
    from rich.text import Text

AGAIN_S = 1.0
TRIES_MAX = 30
STAMP_CHARS = len("2026-11-22 10:00:00.000")


def tail(
    query: Annotated[
        str | None,
        typer.Argument(metavar="[QUERY]", help="Only records that fulfil this: the language of tailrace search."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Only records for which this condition over the fields holds."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="NAME", help="Only records of this stream: tailrace streams list.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1000, help="Newest records to begin with.")] = 20,
    count: Annotated[
        int | None, typer.Option("--count", min=1, metavar="N", help="End after so many records. Without it: never.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Watch records as they come in.

    Shows each record on a line, newest last, until Ctrl-C. Where more come in than a person can read, some are left out and
    a line says how many. `--json` prints each record whole.

    ```
    tailrace tail
    tailrace tail 'level:error -endpoint:/health'
    tailrace tail --where "status >= 500"
    tailrace tail --where "endpoint = '/login' AND response_ms > 1000" --limit 100
    tailrace tail --stream slow
    tailrace tail --json --count 1000 > sample.ndjson
    ```

    Exit codes: 0 done, 2 the condition is wrong or there is no such stream, 3 no node answers.
    """
    client = Client(node_url(url))
    wanted = {"query": query, "where": where, "stream": stream}
    params = {"limit": str(limit)} | {name: value for name, value in wanted.items() if value}
    out = console()
    left = count
    for event, data in follow(client, params):
        value = json.loads(data)
        if event == "gap":
            note_gap(value)
        elif as_json:
            sys.stdout.write(data + "\n")
            sys.stdout.flush()
        else:
            out.print(one_line(value), soft_wrap=True)
        if event == "row" and left is not None:
            left -= 1
            if left <= 0:
                return


def follow(client: Client, params: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Events of the tail; when the node goes away after it was there, asks again for half a minute."""
    from tailrace.runtime.clock import SystemClock

    clock = SystemClock()
    yield from client.events("/v1/tail", params)
    tries = 0
    while tries < TRIES_MAX:
        if tries == 0:
            console(stderr=True).print("[dim]the connection ended, trying again[/]")
        clock.sleep(AGAIN_S)
        tries += 1
        try:
            for event in client.events("/v1/tail", {**params, "limit": "0"}):
                tries = 0
                yield event
        except Unavailable:
            continue
    raise Unavailable("the node has gone away", hint="start it again with: tailrace up")


def note_gap(value: dict[str, Any]) -> None:
    skipped = value.get("skipped", 0)
    console(stderr=True).print(f"[dim]... {skipped:,} more came in than are shown; narrow it down with --where[/]")


def one_line(record: dict[str, Any]) -> Text:
    """Time, status, service, what was asked, how long it took, from where, what it says."""
    from rich.text import Text

    status = record.get("status")
    response_ms = record.get("response_ms")
    line = Text()
    stamp = str(record.get("timestamp", "")).replace("T", " ").removesuffix("Z")
    line.append(stamp[:STAMP_CHARS].ljust(STAMP_CHARS), "dim")
    line.append(f" {status if status is not None else '-':>3}", _status_style(status))
    if record.get("service"):
        line.append(f" {record['service']}", "cyan")
    if record.get("method"):
        line.append(f" {record['method']}", "dim")
    line.append(f" {record.get('endpoint') or '-'}", "bold")
    if response_ms is not None:
        line.append(f" {float(response_ms):,.0f} ms", "yellow" if float(response_ms) >= 1000 else "")
    if record.get("ip"):
        line.append(f" {record['ip']}", "dim")
    if record.get("message"):
        line.append(f"  {record['message']}", _level_style(record.get("level")))
    return line


def _status_style(status: int | None) -> str:
    if status is None:
        return "dim"
    return "bold red" if status >= 500 else "yellow" if status >= 400 else "green"


def _level_style(level: str | None) -> str:
    return {"ERROR": "red", "FATAL": "bold red", "WARN": "yellow", "WARNING": "yellow"}.get((level or "").upper(), "")
