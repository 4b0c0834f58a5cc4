"""`tailrace formats list` and `tailrace formats try`."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.options import AsJson, Config
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json
from tailrace.errors import Invalid

if TYPE_CHECKING:
    from tailrace.config.settings import Settings
    from tailrace.model.line_format import LineFormat

SHOWN_MAX = 5
TEXT_CHARS_MAX = 200

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def formats() -> None:
    """The ways of reading lines: those built in, and those of `tailrace.toml`."""


@app.command("list")
@ending_with_reader
def list_formats(as_json: AsJson = False, config: Config = None) -> None:
    """List the names that `POST /v1/logs?format=` takes, and which of them is meant where a post names none.

    ```
    tailrace formats list
    ```

    Exit codes: 0 done, 2 the settings are wrong.
    """
    from tailrace.config.load import load_settings
    from tailrace.formats.decode import known_formats

    settings = load_settings(config)
    own = {each.name for each in settings.formats}
    found = [
        {
            "name": each.name,
            "about": each.about,
            "default": each.name == settings.ingest.format,
            "built_in": each.name not in own,
        }
        for each in known_formats(settings.formats).values()
    ]
    if as_json:
        print_json({"formats": found})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("format", "", "reads", show_edge=False, header_style="bold")
    for row in found:
        table.add_row(Text(str(row["name"]), "bold"), "default" if row["default"] else "", Text(str(row["about"])))
    console().print(table)


@app.command("try")
@ending_with_reader
def try_format(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `tailrace formats list` names it.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of log lines.")],
    lines: Annotated[
        int, typer.Option("--lines", metavar="N", min=1, help="Look at so many from its beginning.")
    ] = 1000,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Read the lines of a file as a node would, without one: what becomes of each, and why some cannot be read.

    For a format of `tailrace.toml`, a line that does not match is shown with the part of the pattern that it still fits. For
    people the first few of each kind are shown; `--json` gives all.

    ```
    tailrace formats try nginx_rt access.log
    tailrace formats try logfmt app.log --lines 50 --json
    ```

    Exit codes: 0 all could be read, 1 some could not, 2 wrong usage.
    """
    from tailrace.config.load import load_settings

    settings = load_settings(config)
    read, unread = outcome(head_of(file, lines), name, settings)
    if as_json:
        print_json(
            {
                "format": name,
                "accepted": len(read),
                "dead_lettered_total": len(unread),
                "records": read,
                "dead_lettered": unread,
            }
        )
    else:
        _show(name, read, unread)
    if unread:
        raise typer.Exit(BAD_ANSWER)


def head_of(file: Path, lines: int) -> bytes:
    """The first lines of a file. Raises Invalid if it cannot be read."""
    try:
        with file.open("rb") as opened:
            return b"".join(islice(opened, lines))
    except OSError as error:
        raise Invalid(f"`{file}` cannot be read: {error}", hint="give the path of a file of log lines") from error


def outcome(body: bytes, name: str, settings: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(records: line and fields; dead letters: line, reason, text, and how far it fits a pattern), JSON-ready."""
    from tailrace.formats.decode import decode, known_format
    from tailrace.formats.reading import limits_of, options_of
    from tailrace.model.verdict import Verdict
    from tailrace.runtime.clock import SystemClock

    chosen = known_format(name, settings.formats)
    definition = next((each for each in settings.formats if each.name == name), None)
    limits = limits_of(settings, SystemClock().now_us())
    found = decode(body, chosen, settings.fields, limits, options_of(settings))
    read: list[dict[str, Any]] = []
    unread: list[dict[str, Any]] = []
    rows = zip(found.lines, found.columns.to_pylist(), found.raw.to_pylist(), strict=True)
    for number, row, raw in rows:
        line = int(number) + 1
        verdict = row.pop("verdict")
        if not verdict:
            read.append({"line": line, "fields": _fields(row)})
            continue
        text = raw["raw"].decode(errors="replace")
        letter = {"line": line, "reason": raw["reason"], "raw": text}
        if definition is not None and verdict == Verdict.MALFORMED and len(unread) < 1000:
            letter |= _nearly(definition, text)
        unread.append(letter)
    return read, unread


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    """The values that there are, times as ISO text, numbers as written, `extra` as an object."""
    from datetime import datetime
    from decimal import Decimal

    from tailrace.model.window import datetime_us, iso

    shown: dict[str, Any] = {}
    for name, value in row.items():
        if name == "extra" and value is not None:
            shown[name] = json.loads(value)
        elif isinstance(value, datetime):
            shown[name] = iso(datetime_us(value))
        elif value is not None:
            shown[name] = str(value) if isinstance(value, Decimal) else value
    return shown


def _nearly(definition: LineFormat, text: str) -> dict[str, Any]:
    from tailrace.formats.near import near

    found = near(definition, text)
    return {"fits": found.fits, "wants": found.wants, "column": found.at + 1, "there": found.there}


def _show(name: str, read: list[dict[str, Any]], unread: list[dict[str, Any]]) -> None:
    from rich.text import Text

    out = console()
    out.print(f"{len(read):,} read as {name}, {len(unread):,} not", markup=False)
    for record in read[:SHOWN_MAX]:
        out.print()
        out.print(Text.assemble(("ok     ", "bold green"), (f"line {record['line']}", "bold")))
        for field, value in record["fields"].items():
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
            out.print(Text.assemble((f"  {field:<14} ", "dim"), _short(shown)), soft_wrap=True)
    for letter in unread[:SHOWN_MAX]:
        out.print()
        out.print(Text.assemble(("not    ", "bold red"), (f"line {letter['line']}  ", "bold"), letter["reason"]))
        out.print(Text.assemble("  ", _short(letter["raw"])), soft_wrap=True)
        if "fits" in letter:
            out.print(
                Text.assemble(("  it fits      ", "dim"), letter["fits"] or "nothing of the pattern"), soft_wrap=True
            )
            out.print(Text.assemble(("  then wants   ", "dim"), letter["wants"]), soft_wrap=True)
            there = _short(letter["there"]) or "the end of the line"
            out.print(Text.assemble((f"  at column {letter['column']:<3}", "dim"), there), soft_wrap=True)


def _short(text: str) -> str:
    """One printable line."""
    plain = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text[: TEXT_CHARS_MAX + 1])
    return plain if len(plain) <= TEXT_CHARS_MAX else plain[: TEXT_CHARS_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"
