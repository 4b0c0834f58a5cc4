"""`tailrace import kinesis-analytics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.options import AsJson, Config
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json
from tailrace.errors import Invalid

if TYPE_CHECKING:
    from tailrace.views.kinesis_analytics import Converted

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def import_() -> None:
    """Turn what was written for other systems into streams and views."""


@app.command("kinesis-analytics")
@ending_with_reader
def kinesis_analytics(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The SQL of an Amazon Kinesis Data Analytics application.")
    ],
    folder: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the stream and view files go.")
    ] = Path("views"),
    schema: Annotated[
        Path | None,
        typer.Option("--schema", metavar="FILE", help="What `describe-application` printed: the columns of its input."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=FIELD", help="Which field a column is, or extra.MEMBER. May be repeated."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write no files, only say what would be.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Turn the SQL of a Kinesis Analytics application into stream and view files, and say of each choice what it changes.

    Pumps that filter become streams, pumps that aggregate become views: tumbling windows as they are, sliding ones as hopping
    windows that you ask for, stagger windows as event-time windows. Joins, reference tables, sessions, TOP_K_ITEMS_TUMBLING and
    RANDOM_CUT_FOREST are named, with what to do instead. Every file that is written passes `tailrace views check`.

    ```
    tailrace import kinesis-analytics app.sql -o views
    tailrace import kinesis-analytics app.sql --schema application.json --map TICKER=extra.symbol --json
    ```

    Exit codes: 0 all of it was turned, 1 something was not, 2 wrong usage or a file that cannot be read.
    """
    from tailrace.config.load import load_settings
    from tailrace.views.kinesis_analytics import Mapping, convert, read_schema
    from tailrace.views.kinesis_analytics.mapping import parse_maps

    fields = load_settings(config).fields
    given = read_schema(_text(schema), fields) if schema is not None else {}
    converted = convert(_text(file), Mapping(fields, {**given, **parse_maps(maps or [], fields)}))
    written = [] if dry_run else _write(converted, folder, file.name, force=force)
    if as_json:
        report = [each.as_json() for each in converted.report]
        print_json({"complete": converted.complete, "files": converted.files, "written": written, "report": report})
    else:
        _show(converted, file, written)
    if not converted.complete:
        raise typer.Exit(BAD_ANSWER)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"`{file}` cannot be read: {error}", hint="it must be a UTF-8 text file") from error


def _write(converted: Converted, folder: Path, origin: str, *, force: bool) -> list[str]:
    """All files or none."""
    texts = {folder / f"{name}.sql": f"-- From {origin}.\n{text}" for name, text in converted.files.items()}
    others = [path for path, text in texts.items() if path.exists() and path.read_text(encoding="utf-8") != text]
    if others and not force:
        raise Invalid(
            f"`{others[0]}` is there already, and is another", hint="name another folder with -o, or add --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Invalid(f"`{folder}` cannot be written: {error}", hint="name another folder with -o") from error
    return [str(path) for path in texts]


def _show(converted: Converted, file: Path, written: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    style = {"turned": "green", "changed": "yellow", "not turned": "bold red"}
    table = Table("", "at", "what", "becomes", show_edge=False, header_style="bold")
    for each in converted.report:
        said = Text(each.text)
        if each.hint:
            said.append(f"\n{each.hint}", style="dim")
        kind = each.kind.value
        table.add_row(Text(kind, style[kind]), f"{each.line}:{each.column}", Text(each.subject), said)
    out = console()
    out.print(table)
    for path in written:
        out.print(f"written {path}", markup=False)
    if not converted.complete:
        out.print(Text(f"not all of {file} was turned: see the red lines", "bold red"))
