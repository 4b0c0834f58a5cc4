"""`tailrace streams list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console, ending_with_reader, print_json

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def streams() -> None:
    """The named parts of the records: conditions that views, queries and the tail can read from."""


@app.command("list")
@ending_with_reader
def list_streams(as_json: AsJson = False, url: Url = None) -> None:
    """List the streams of a running node: what each chooses, from where, and the views on it.

    A stream is a file in the views folder: `CREATE STREAM slow AS SELECT * FROM logs WHERE response_ms > 1000`. `failed` is one that
    cannot be read, with its reason.

    ```
    tailrace streams list
    tailrace streams list --json
    ```

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/streams")
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    if not answer["streams"]:
        console().print("no streams yet", style="dim")
        return
    table = Table("stream", "state", "reads", "condition", "views", show_edge=False, header_style="bold")
    for stream in answer["streams"]:
        if stream["status"] == "failed":
            name = stream["name"] or stream["error"]["file"]
            table.add_row(Text(name), Text("failed", "bold red"), "", _said(stream["error"]), "")
            continue
        condition = Text(stream["condition"])
        if stream["error"]:
            condition.append("\n").append_text(_said(stream["error"]))
        read_by = ", ".join([*stream["views"], *(f"{name} (stream)" for name in stream["streams"])])
        table.add_row(
            Text(stream["name"], "bold"), Text("live", "green"), Text(stream["reads"]), condition, Text(read_by or "-")
        )
    console().print(table)


def _said(error: dict[str, Any]) -> Text:
    from rich.text import Text

    said = "; ".join(str(error[part]) for part in ("message", "hint") if error.get(part))
    return Text(f"{error['file']}: {said}", "red")
