"""`tailrace deadletters list`, `show` and `redrive`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console, ending_with_reader, print_json

RAW_CHARS_MAX = 100

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def deadletters() -> None:
    """Lines that could not be read: what they were, and why."""


@app.command("list")
@ending_with_reader
def list_dead_letters(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="KIND", help="Only those of this kind, e.g. no_timestamp.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the newest lines that could not be read, newest first.

    A line that cannot be read is never dropped: it is acknowledged as a dead letter, kept as it came, and counted. `--json`
    prints all that is known of each.

    ```
    tailrace deadletters list
    tailrace deadletters list --verdict malformed --limit 100
    ```

    Exit codes: 0 done, 2 there is no such kind, 3 no node answers.
    """
    params = {"limit": str(limit)} | ({"verdict": verdict} if verdict else {})
    answer = Client(node_url(url)).get("/v1/deadletters", params)
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not answer["dead_letters"]:
        out.print("no dead letters" if not answer["total"] else f"none of this kind, of {answer['total']:,} in all")
        return
    table = Table("id", "arrived", "kind", "line", show_edge=False, header_style="bold")
    for letter in answer["dead_letters"]:
        table.add_row(
            Text(letter["id"], "bold", no_wrap=True),
            Text(letter["arrived_at"], "dim", no_wrap=True),
            Text(letter["verdict"], "yellow", no_wrap=True),
            Text(_line(letter), no_wrap=True, overflow="ellipsis"),
        )
    out.print(table)
    shown = len(answer["dead_letters"])
    out.print(f"[dim]{shown:,} of {answer['total']:,}; whole: tailrace deadletters show ID[/]")


@app.command("show")
@ending_with_reader
def show(
    dead_letter: Annotated[str, typer.Argument(metavar="ID", help="As listed, e.g. 0-1234.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes of the line as they came, and nothing else.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show one line that could not be read: where it is, why it could not be read, and all of it.

    ```
    tailrace deadletters show 0-1234
    tailrace deadletters show 0-1234 --raw > line.bin
    ```

    Exit codes: 0 done, 2 there is none of this id, 3 no node answers.
    """
    client = Client(node_url(url))
    path = f"/v1/deadletters/{quote(dead_letter, safe='')}"
    if raw:
        with client.open("GET", f"{path}?raw") as response:
            sys.stdout.buffer.write(response.read())
            sys.stdout.buffer.flush()
        return
    letter = client.get(path)
    if as_json:
        print_json(letter)
        return
    from rich.text import Text

    out = console()
    for name in ("id", "shard", "sequence_number", "arrived_at", "verdict", "reason", "bytes"):
        out.print(Text.assemble((f"{name:<16}", "dim"), str(letter[name])))
    out.print()
    out.print(Text(_whole(letter)), soft_wrap=True)


@app.command("redrive")
@ending_with_reader
def redrive(
    dead_letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Which; without any: all that were not sent again yet."),
    ] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="KIND", help="Only those of this kind, e.g. no_timestamp.")
    ] = None,
    line_format: Annotated[str, typer.Option("--format", help="How to read them, as ?format= of a post.")] = "json",
    key_field: Annotated[str, typer.Option("--key-field", help="The field whose text is the partition key.")] = "",
    response_time: Annotated[str, typer.Option("--response-time", help="Unit of an access log's response time.")] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many, newest first.")
    ] = 100_000,
    preview: Annotated[bool, typer.Option("--preview", help="Read them and say what would become of them.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Send dead letters again, once a format or a field has been put right.

    They are read anew and appended as records of now; those that still cannot be read stay as they are. One that was sent again
    is marked and counts once, however often this runs. Look first with `--preview`: it changes nothing.

    ```
    tailrace deadletters redrive --verdict malformed --format combined --preview
    tailrace deadletters redrive --verdict malformed --format combined
    tailrace deadletters redrive 0-1234 0-1240
    ```

    Exit codes: 0 done, 1 some still cannot be read, 2 there is no such kind, format or letter, 3 no node answers.
    """
    wish = {
        "ids": dead_letters or [],
        "verdict": verdict,
        "format": line_format,
        "key_field": key_field,
        "response_time": response_time,
        "limit": limit,
        "preview": preview,
    }
    with Client(node_url(url)).post("/v1/deadletters/redrive", wish) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
    else:
        _print_redriven(answer)
    if answer["unreadable"]:
        raise typer.Exit(1)


def _print_redriven(answer: dict[str, Any]) -> None:
    from rich.text import Text

    out = console()
    for sample in answer["samples"] if answer["preview"] else ():
        shown = json.dumps(sample["record"], ensure_ascii=False) if sample["record"] else sample["reason"]
        out.print(
            Text.assemble((f"{sample['id']:<10} ", "bold"), (_safe(shown), "green" if sample["record"] else "yellow")),
            no_wrap=True,
            overflow="ellipsis",
        )
    readable, unreadable = answer["readable"], answer["unreadable"]
    done = "can be read" if answer["preview"] else f"read, {answer['accepted']:,} appended"
    if answer["deduplicated"]:
        done += f", {answer['deduplicated']:,} were in the stream already"
    out.print(f"{answer['looked_at']:,} looked at: {readable:,} {done}, {unreadable:,} still cannot be")
    for reason, count in answer["reasons"].items():
        out.print(Text(f"  {count:>9,}  {reason}", "yellow"))
    if answer["already"]:
        out.print(f"  {answer['already']:>9,}  sent again before", style="dim")
    if answer["preview"] and readable:
        out.print("[dim]nothing was changed; the same without --preview sends them[/]")


def _safe(text: str) -> str:
    """Without what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


def _line(letter: dict[str, Any]) -> str:
    """The beginning of the line."""
    text = _whole(letter)[: RAW_CHARS_MAX + 1].replace("\t", "\N{MIDDLE DOT}")
    return text if len(text) <= RAW_CHARS_MAX else text[: RAW_CHARS_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _whole(letter: dict[str, Any]) -> str:
    """All of the line, without what a terminal would act on."""
    if "raw" in letter:
        return _safe(letter["raw"])
    return f"base64: {letter['raw_base64']}"
