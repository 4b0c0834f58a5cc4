"""`tailrace dashboards`: list, show, check, import, export, schema, delete."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Config, Url, Views
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json
from tailrace.errors import Invalid, TailraceError

if TYPE_CHECKING:
    from tailrace.dashboard.boards.lint import ViewNames
    from tailrace.dashboard.boards.model import Dashboard

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
Uid = Annotated[str, typer.Argument(metavar="UID", help="As listed; the name of its file without .json.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Dashboards as JSON.")]


@app.callback()
def dashboards() -> None:
    """Dashboards as JSON files: those that come with Tailrace, and your own."""


@app.command("list")
@ending_with_reader
def list_dashboards(as_json: AsJson = False, url: Url = None) -> None:
    """List the dashboards of a running node, and what is wrong with files that it cannot use.

    ```
    tailrace dashboards list
    ```

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/dashboards")
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("uid", "title", "source", "changed", "tags", show_edge=False, header_style="bold")
    for row in answer["dashboards"]:
        title = Text(row["title"])
        if row["error"]:
            title = Text(f"{row['error']['message']}; {row['error']['hint']}", "red")
        changed = Text(row["changed_at"] or "", "dim", no_wrap=True)
        table.add_row(Text(row["uid"], "bold"), title, row["source"], changed, Text(", ".join(row["tags"])))
    console().print(table)


@app.command("show")
@ending_with_reader
def show(
    uid: Uid,
    versions: Annotated[bool, typer.Option("--versions", help="The versions that saves have replaced.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what a dashboard consists of, or its older versions.

    ```
    tailrace dashboards show service-health
    tailrace dashboards show service-health --versions
    ```

    Exit codes: 0 done, 2 there is no such dashboard, 3 no node answers.
    """
    path = _path(uid) + ("/versions" if versions else "")
    answer = Client(node_url(url)).get(path)
    if as_json:
        print_json(answer)
    elif versions:
        _print_versions(answer["versions"])
    else:
        _print_dashboard(answer)


@app.command("check")
@ending_with_reader
def check(files: Files, as_json: AsJson = False, config: Config = None, views: Views = None) -> None:
    """Check files without a node: what is wrong in them, and what they name that is not there.

    A view or column that does not exist is a warning: the dashboard can be used, and the panel says what is missing.

    ```
    tailrace dashboards check dashboards/*.json
    ```

    Exit codes: 0 done, also with warnings, 1 a file cannot be used, 2 wrong usage.
    """
    from tailrace.dashboard.boards.lint import warnings

    known = _views(config, views)
    found: list[dict[str, Any]] = []
    for file in files:
        try:
            board = _read(file)
        except TailraceError as error:
            found.append({"file": str(file), "error": error.as_json()["error"], "warnings": []})
            continue
        told = [{"path": path, "message": message} for path, message in warnings(board, known)]
        found.append({"file": str(file), "error": None, "warnings": told})
    if as_json:
        print_json({"files": found})
    else:
        _print_checked(found)
    if any(each["error"] for each in found):
        raise typer.Exit(BAD_ANSWER)


@app.command("import")
@ending_with_reader
def import_(
    files: Files,
    replace: Annotated[bool, typer.Option("--replace", help="Also over dashboards that are there already.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Save files as dashboards of a running node. All are checked before the first is saved.

    ```
    tailrace dashboards import checkout.json
    tailrace dashboards import backup/*.json --replace
    ```

    Exit codes: 0 done, 2 a file cannot be used, or one is there already, 3 no node answers.
    """
    from tailrace.dashboard.boards.read import written

    boards = [(file, _read(file)) for file in files]
    client = Client(node_url(url))
    headers = {"Content-Type": "application/json"} | ({} if replace else {"If-None-Match": "*"})
    saved = []
    for file, board in boards:
        try:
            with client.open("PUT", _path(board.uid), written(board), headers) as response:
                answer = json.loads(response.read())
        except Invalid as error:
            error.hint = error.hint if replace else "add --replace to save it over the one that is there"
            raise
        saved.append({"file": str(file), "uid": board.uid, "revision": answer["revision"]})
        if not as_json:
            console().print(f"{file}: saved as {board.uid}", markup=False)
    if as_json:
        print_json({"saved": saved})


@app.command("export")
@ending_with_reader
def export(
    uid: Uid,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to. Without it: standard output.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Write a dashboard as its file.

    ```
    tailrace dashboards export service-health > service-health.json
    ```

    Exit codes: 0 done, 2 there is no such dashboard, or the file cannot be written, 3 no node answers.
    """
    from tailrace.dashboard.boards.read import dashboard_of, written

    answer = Client(node_url(url)).get(_path(uid))
    content = written(dashboard_of(answer["dashboard"])).decode()
    if output is None:
        if as_json:
            print_json(answer["dashboard"])
        else:
            sys.stdout.write(content)
        return
    try:
        output.write_text(content, encoding="utf-8")
    except OSError as error:
        raise Invalid(f"`{output}` cannot be written: {error.strerror}", hint="choose another --output") from error
    if as_json:
        print_json({"uid": uid, "file": str(output), "revision": answer["revision"]})


@app.command("schema")
@ending_with_reader
def schema(as_json: AsJson = False) -> None:
    """Print the JSON Schema of dashboards, for editors and other tools.

    ```
    tailrace dashboards schema > dashboard.schema.json
    ```

    Exit codes: 0 done.
    """
    from tailrace.dashboard.boards.schema import dashboard_schema

    if as_json:
        print_json(dashboard_schema())
    else:
        print(json.dumps(dashboard_schema(), indent=2))


@app.command("delete")
@ending_with_reader
def delete(uid: Uid, as_json: AsJson = False, url: Url = None) -> None:
    """Remove a dashboard of your own; its content stays as a version. Of one that is shipped, your copy goes, and that one is back.

    ```
    tailrace dashboards delete checkout
    ```

    Exit codes: 0 done, 2 there is no such dashboard of your own, 3 no node answers.
    """
    with Client(node_url(url)).open("DELETE", _path(uid)) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
        return
    left = "the one that comes with Tailrace is back" if answer["now"] else "it is gone"
    console().print(f"{uid}: {left}", markup=False)


def _path(uid: str) -> str:
    return f"/v1/dashboards/{quote(uid, safe='')}"


def _read(file: Path) -> Dashboard:
    """Raises Invalid with the file's name."""
    from tailrace.dashboard.boards.read import BYTES_MAX, read_dashboard

    try:
        with file.open("rb") as opened:
            content = opened.read(BYTES_MAX + 1)
        board = read_dashboard(content)
    except OSError as error:
        raise Invalid(f"`{file}` cannot be read: {error.strerror}", hint="name a file of JSON") from error
    except TailraceError as error:
        raise Invalid(f"`{file}`: {error.message}", hint=error.hint) from error
    return board


def _views(config: Path | None, views: Path | None) -> dict[str, ViewNames]:
    """Those that a node with these settings would have."""
    from tailrace.config.load import load_settings
    from tailrace.dashboard.boards.lint import ViewNames
    from tailrace.serving.catalog import Catalog

    settings = load_settings(config, views_dir=views)
    catalog = Catalog(settings.views_dir, settings.fields)
    catalog.look()
    return {
        name: ViewNames(
            tuple(key.name for key in view.keys),
            tuple(output.name for output in view.outputs if output.kind not in ("key", "window")),
        )
        for name, view in catalog.state.views.items()
    }


def _print_dashboard(answer: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    board, out = answer["dashboard"], console()
    changed = f", changed {answer['changed_at']}" if answer["changed_at"] else ""
    out.print(Text.assemble((board["title"], "bold"), f"  {answer['source']}, revision {answer['revision']}{changed}"))
    if board["description"]:
        out.print(Text(board["description"], "dim"))
    table = Table("panel", "kind", "title", "data", show_edge=False, header_style="bold")
    for panel in board["panels"]:
        data = panel["data"] or {}
        said = data.get("sql") or " ".join([data.get("view", ""), *data.get("fields", [])])
        table.add_row(Text(panel["id"], "bold"), panel["kind"], Text(panel["title"]), Text(said))
    out.print(table)


def _print_versions(versions: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not versions:
        console().print("no save has replaced anything yet", style="dim")
        return
    table = Table("version", "revision", "written", "replaced", "by", show_edge=False, header_style="bold")
    for each in versions:
        author = each["author"] + (" (autosave)" if each["auto"] else "")
        table.add_row(str(each["n"]), each["revision"], each["changed_at"] or "", each["replaced_at"], Text(author))
    console().print(table)


def _print_checked(found: list[dict[str, Any]]) -> None:
    from rich.text import Text

    out = console()
    for each in found:
        if each["error"]:
            out.print(Text.assemble(("wrong ", "bold red"), each["error"]["message"]))
            out.print(Text(f"      {each['error']['hint']}", "dim"))
            continue
        out.print(Text.assemble(("good  ", "green"), each["file"]))
        for told in each["warnings"]:
            out.print(Text.assemble(("      warning: ", "yellow"), f"{told['path']}: {told['message']}"))
