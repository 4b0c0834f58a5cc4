"""`tailrace users`."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli.desk import PasswordFromInput, Scopes, Streams, chosen, chosen_password, open_desk
from tailrace.cli.options import AsJson, Config, Data
from tailrace.cli.output import console, ending_with_reader, print_json
from tailrace.errors import Invalid, NotFound

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the user; told apart without its case.")]


@app.callback()
def users() -> None:
    """Who may log in to this data folder's node, and do what. Changes hold within a second; the node need not be started again."""


@app.command("add")
@ending_with_reader
def add(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="All scopes: ingest, query, admin.")] = False,
    scope: Scopes = None,
    stream: Streams = None,
    password_stdin: PasswordFromInput = False,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a user. The password is asked for, read from standard input, or made and shown once.

    From the first user on everybody has to log in, also on a loopback address.

    ```
    tailrace users add ada --admin
    tailrace users add grace --scope query
    tailrace users add shop --scope query:checkout --scope ingest
    ```

    Exit codes: 0 done, 2 wrong usage, 3 there is such a user already.
    """
    from tailrace.access.shown import user_json

    if admin and (scope or stream):
        raise Invalid("`--admin` gives all scopes in all streams", hint="leave out --scope and --stream, or --admin")
    _, manager = open_desk(config, data)
    scopes = chosen(["ingest", "query", "admin"] if admin else scope, stream, ["query"])
    made = manager.add_user(name, scopes, chosen_password(from_input=password_stdin))
    if as_json:
        print_json({**user_json(made.user), "password": made.password or None})
        return
    console().print(f"user [bold]{made.user.name}[/] may: {', '.join(scopes)}")
    _show_once(made.password)


@app.command("list")
@ending_with_reader
def list_users(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the users, what each may do, and when each was last seen.

    ```
    tailrace users list --json
    ```

    Exit codes: 0 done, 2 wrong usage.
    """
    from tailrace.access.shown import user_json

    _, manager = open_desk(config, data)
    sessions = manager.store.sessions()
    found = [user_json(user, sessions) for user in manager.store.users()]
    if as_json:
        print_json({"users": found})
        return
    from rich.table import Table
    from rich.text import Text

    if not found:
        console().print("no users: on a loopback address everybody is let in, unless there are keys", style="dim")
        return
    table = Table("user", "scopes", "sessions", "seen", "made", show_edge=False, header_style="bold")
    for user in found:
        table.add_row(
            Text(user["name"], "bold"),
            Text(", ".join(user["scopes"])),
            str(user["sessions"]),
            user["seen"] or "-",
            user["created"],
        )
    console().print(table)


@app.command("password")
@ending_with_reader
def password(
    name: Name,
    password_stdin: PasswordFromInput = False,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give a user a new password: asked for, read from standard input, or made and shown once. All sessions of the user end.

    ```
    tailrace users password ada
    ```

    Exit codes: 0 done, 2 there is no such user.
    """
    _, manager = open_desk(config, data)
    if manager.store.user(name) is None:
        raise NotFound(f"there is no user `{name}`", hint="see: tailrace users list")
    made, ended = manager.set_password(name, chosen_password(from_input=password_stdin))
    if as_json:
        print_json({"name": name, "sessions_ended": ended, "password": made or None})
        return
    console().print(f"user [bold]{name}[/] has a new password; {ended} sessions have ended")
    _show_once(made)


@app.command("scopes")
@ending_with_reader
def scopes(
    name: Name,
    scope: Annotated[
        list[str], typer.Argument(metavar="SCOPE...", help="ingest, query, admin; query:errors for one stream.")
    ],
    stream: Streams = None,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what a user may do: these scopes, and no others.

    ```
    tailrace users scopes grace query ingest
    tailrace users scopes shop query:checkout
    ```

    Exit codes: 0 done, 2 wrong usage or no such user, 3 nobody would be left to administer the node.
    """
    _, manager = open_desk(config, data)
    grants = manager.set_scopes(name, chosen(scope, stream, []))
    if as_json:
        print_json({"name": name, "scopes": grants.texts()})
        return
    console().print(f"user [bold]{name}[/] may: {', '.join(grants.texts())}")


@app.command("remove")
@ending_with_reader
def remove(name: Name, config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Remove a user, and end the user's sessions. The last one who may administer the node stays.

    ```
    tailrace users remove grace
    ```

    Exit codes: 0 done, 2 there is no such user, 3 it is the last one with the scope admin.
    """
    _, manager = open_desk(config, data)
    manager.remove_user(name)
    if as_json:
        print_json({"name": name, "removed": True})
        return
    console().print(f"user {name} is gone")


def _show_once(password: str) -> None:
    if password:
        console().print(
            f"password  [bold]{password}[/]\n[dim]shown this once: it is kept as a hash[/]", highlight=False
        )
