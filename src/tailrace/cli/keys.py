"""`tailrace keys`."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli.desk import Scopes, Streams, chosen, open_desk
from tailrace.cli.options import AsJson, Config, Data
from tailrace.cli.output import console, ending_with_reader, print_json
from tailrace.errors import Conflict

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Keys of programs: what sends logs, what asks. Changes hold within a second; the node need not be started again."""


@app.command("add")
@ending_with_reader
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, in words.")],
    scope: Scopes = None,
    stream: Streams = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="90d", help="After so long. Without it: when it is revoked.")
    ] = None,
    kinesis: Annotated[
        bool,
        typer.Option(
            "--kinesis",
            help="It signs requests of the Kinesis API too. The node keeps the secret itself, not a hash: else it could check none.",
        ),
    ] = False,
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; its secret is shown once. Without `--scope` it may take in logs, and nothing else.

    Programs send `Authorization: Bearer SECRET`; commands take it from the variable TAILRACE_KEY. From the first key on everybody
    has to show one or log in, also on a loopback address.

    ```
    tailrace keys add "fluent-bit on web-1"
    tailrace keys add reports --scope query --expires 90d
    tailrace keys add producers --kinesis --json
    ```

    Exit codes: 0 done, 2 wrong usage.
    """
    from tailrace.access.shown import key_json
    from tailrace.model.window import duration_us

    _, manager = open_desk(config, data)
    expires_s = duration_us(expires) // 1_000_000 if expires else 0
    made = manager.add_key(name, chosen(scope, stream, ["ingest"]), expires_s, signs=kinesis)
    if as_json:
        print_json({**key_json(made.key), "secret": made.secret})
        return
    kept = "" if kinesis else ": it is kept as a hash"
    console().print(
        f"key [bold]{made.key.id}[/] may: {', '.join(made.key.grants.texts())}\n"
        f"secret  [bold]{made.secret}[/]\n[dim]shown this once{kept}[/]",
        highlight=False,
        soft_wrap=True,
    )


@app.command("list")
@ending_with_reader
def list_keys(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the keys, those of tailrace.toml too: what each may do, and when each was last used.

    ```
    tailrace keys list --json
    ```

    Exit codes: 0 done, 2 wrong usage.
    """
    from tailrace.access.shown import configured_json, key_json

    settings, manager = open_desk(config, data)
    found = [*map(key_json, manager.store.keys()), *map(configured_json, settings.keys)]
    if as_json:
        print_json({"keys": found})
        return
    from rich.table import Table
    from rich.text import Text

    if not found:
        console().print("no keys yet: tailrace keys add NAME", style="dim")
        return
    table = Table("key", "for", "scopes", "used", "expires", "made by", show_edge=False, header_style="bold")
    for key in found:
        table.add_row(
            Text(key["id"], "bold"),
            Text(key["name"]),
            Text(", ".join(key["scopes"])),
            key["used"] or "-",
            key["expires"] or "-",
            Text(key["created_by"]),
        )
    console().print(table)


@app.command("revoke")
@ending_with_reader
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: within a second no process of the node takes it any more, and what it has open is cut off.

    ```
    tailrace keys revoke TR2314A13CD86A3B27
    ```

    Exit codes: 0 done, 2 there is no such key, 3 it is one of tailrace.toml.
    """
    settings, manager = open_desk(config, data)
    if any(each.id == key for each in settings.keys):
        raise Conflict(f"key `{key}` is one of tailrace.toml", hint="take it out there, and start the node again")
    gone = manager.revoke_key(key)
    if as_json:
        print_json({"id": gone.id, "name": gone.name, "revoked": True})
        return
    console().print(f"key {gone.id} ({gone.name}) is revoked")
