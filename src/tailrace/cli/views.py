"""`tailrace views list` and `tailrace views check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Config, Url
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json
from tailrace.errors import Invalid, ViewError

if TYPE_CHECKING:
    from tailrace.views import CompiledStream, CompiledView
    from tailrace.views.plan import OutputColumn

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def views() -> None:
    """The standing questions: views that are always up to date."""


@app.command("list")
@ending_with_reader
def list_views(as_json: AsJson = False, url: Url = None) -> None:
    """List the views of a running node, and whether each is live.

    `live` answers over all of history. `building` computes its history; an older version may still answer. `rebuilding` computes it
    anew and answers meanwhile. `rolled back` answers as its version before. `failed` is a file that does not compile, with its reason.

    ```
    tailrace views list
    tailrace views list --json
    ```

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/views")
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("view", "state", "window", "keys", "columns", "drift", show_edge=False, header_style="bold")
    for view in answer["views"]:
        if view["status"] == "failed":
            error = view.get("error") or {}
            said = "; ".join(str(error[part]) for part in ("message", "hint") if error.get(part))
            table.add_row(Text(view["name"]), Text("failed", "bold red"), "", "", Text(said, "red"), "")
            continue
        outputs = [c["name"] for c in view["columns"] if c["kind"] not in ("window", "key")]
        table.add_row(
            Text(view["name"], "bold"),
            Text(_state(view), "green" if view["status"] == "live" else "yellow"),
            _width(view["window_ms"]),
            Text(", ".join(view["keys"]) or "-"),
            Text(", ".join(outputs)),
            Text(str(view["drift_rows"]), "red" if view["drift_rows"] else "dim"),
        )
    console().print(table)


def _state(view: dict[str, Any]) -> str:
    progress = view.get("progress")
    if not progress:
        return "batch only" if view.get("batch_only") and view["status"] == "live" else str(view["status"])
    return f"{view['status']} {100 * progress['rows_done'] // max(progress['rows'], 1)} %"


@app.command("check")
@ending_with_reader
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file: one CREATE VIEW or CREATE STREAM statement.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Check a view file without a node: what it would keep, or what is wrong where.

    Compiles the file exactly as a node does and shows the plan: its windows, its keys, and for each column the mergeable states
    behind it. Fields come from `tailrace.toml`, streams from the files beside it. A stream's file is checked in the same way.

    ```
    tailrace views check views/slow_by_ip.sql
    ```

    Exit codes: 0 it can be used, 1 it cannot, 2 wrong usage.
    """
    from tailrace.config.load import load_settings
    from tailrace.views import compile_stream, compile_view
    from tailrace.views.folder import streams_beside
    from tailrace.views.parse import is_stream
    from tailrace.views.stream import link_streams

    fields = load_settings(config).fields
    try:
        sql = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"`{file}` cannot be read: {error}", hint="give the path of a view file") from error
    beside = streams_beside(file, fields)
    try:
        if is_stream(sql):
            _show_stream(file, compile_stream(sql, fields, *beside), as_json=as_json)
            return
        view = compile_view(sql, fields, link_streams(*beside))
    except Invalid as error:
        _show_problem(file, sql, error, as_json=as_json)
        raise typer.Exit(BAD_ANSWER) from error
    if as_json:
        print_json({"file": str(file), "ok": True, **plan(view)})
    else:
        _show_plan(view)


def _show_stream(file: Path, stream: CompiledStream, *, as_json: bool) -> None:
    if as_json:
        found = {"name": stream.name, "reads": stream.reads, "definition": stream.definition}
        print_json({"file": str(file), "ok": True, **found})
        return
    from rich.text import Text

    out = console()
    out.print(Text.assemble(("ok  ", "bold green"), "stream ", (stream.name, "bold"), f"  reads {stream.reads}"))
    out.print(Text(f"records where {' AND '.join(stream.texts)}"))


def plan(view: CompiledView) -> dict[str, Any]:
    """What the view keeps, as JSON-ready values."""
    return {
        "name": view.name,
        "version": view.version,
        "window_ms": view.window_us // 1000,
        "keys": [key.name for key in view.keys],
        "columns": [{"name": o.name, "kind": o.kind, "unit": o.unit, "states": states_of(o)} for o in view.outputs],
    }


def states_of(output: OutputColumn) -> list[str]:
    """Names of the states that a column is made of: scalar columns, or its place in the tables of bins or registers."""
    if output.agg is None:
        return list(output.states)
    return [f"{'bins' if output.kind == 'quantile' else 'registers'}[{output.agg}]"]


def _show_plan(view: CompiledView) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(
        Text.assemble(("ok  ", "bold green"), ("view ", ""), (view.name, "bold"), (f"  version {view.version}", "dim"))
    )
    out.print(
        f"windows of {_width(view.window_us // 1000)}, keys: {', '.join(k.name for k in view.keys) or 'none'}",
        markup=False,
    )
    table = Table("column", "kind", "states", "kept as", show_edge=False, header_style="bold")
    for output in view.outputs:
        table.add_row(Text(output.name), output.kind, Text(", ".join(states_of(output))), STATES.get(output.kind, ""))
    out.print(table)


STATES = {
    "window": "the key of every state",
    "key": "a key of every state",
    "count": "a whole number; merges by adding",
    "sum": "a fixed point number; merges by adding",
    "avg": "a sum and a count; both merge by adding",
    "min": "a value; the smaller one stays",
    "max": "a value; the larger one stays",
    "min_n": "a list of values; of two lists the smallest stay",
    "max_n": "a list of values; of two lists the largest stay",
    "first": "a time and a value; the earlier pair stays",
    "last": "a time and a value; the later pair stays",
    "bool_and": "true or false; false stays",
    "bool_or": "true or false; true stays",
    **dict.fromkeys(
        ("stddev_samp", "stddev_pop", "var_samp", "var_pop"), "a count, a sum and a sum of squares; all merge by adding"
    ),
    "quantile": "a histogram of log buckets; merges by adding, error at most 1 %",
    "distinct": "HyperLogLog registers; the larger one stays, error about 1.6 %",
}


def _show_problem(file: Path, sql: str, error: Invalid, *, as_json: bool) -> None:
    line, column = (error.line, error.column) if isinstance(error, ViewError) else (1, 1)
    if as_json:
        print_json({"file": str(file), "ok": False, "line": line, "column": column, **error.as_json()})
        return
    from rich.text import Text

    out = console()
    out.print(Text.assemble(("error  ", "bold red"), (f"{file}:{line}:{column}", "bold")))
    out.print(Text(quoted(sql, line, column)), soft_wrap=True)
    out.print(Text(error.message))
    if error.hint:
        out.print(Text.assemble(("  try: ", "bold"), error.hint))


def quoted(sql: str, line: int, column: int) -> str:
    """The line of the SQL with a caret below the column (both from 1), and the line before it for context."""
    lines = sql.splitlines() or [""]
    at = min(max(line, 1), len(lines)) - 1
    text = lines[at].expandtabs(1)
    caret = " " * min(max(column, 1) - 1, len(text)) + "^"
    number = f"{at + 1:>4} | "
    before = f"{at:>4} | {lines[at - 1].expandtabs(1)}\n" if at else ""
    return f"{before}{number}{text}\n{' ' * (len(number) - 2)}| {caret}"


def _width(window_ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if window_ms % size == 0:
            return f"{window_ms // size} {unit}"
    return f"{window_ms} ms"
