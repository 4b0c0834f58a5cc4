"""Users and keys of a data folder, for the commands: on the file itself, whether a node runs on it or not."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tailrace.access.manage import Manager
    from tailrace.config.settings import Settings

from tailrace.errors import Invalid
from tailrace.runtime.clock import SystemClock

Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="ingest, query or admin; query:errors for one stream. Several: say it several times.",
    ),
]
Streams = Annotated[
    list[str] | None,
    typer.Option("--stream", metavar="NAME", help="Limit the scopes that name no stream themselves to this one."),
]
PasswordFromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, as scripts do.")
]


def open_desk(config: Path | None, data: Path | None) -> tuple[Settings, Manager]:
    """The settings, and what changes the folder's users and keys on behalf of whoever runs the command."""
    from tailrace.access.manage import Manager
    from tailrace.access.store import AccessStore
    from tailrace.config.load import load_settings

    settings = load_settings(config, data_dir=data)
    return settings, Manager(AccessStore(settings.access_path), SystemClock(), f"command:{_login_name()}")


def chosen(scopes: list[str] | None, streams: list[str] | None, default: list[str]) -> list[str]:
    """The scopes as words of the file. Raises Invalid."""
    from tailrace.model.scopes import parse_grants

    return parse_grants(scopes or default, streams or ()).texts()


def chosen_password(*, from_input: bool) -> str | None:
    """From standard input, or asked for twice on a terminal; None: one shall be made."""
    if from_input:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise Invalid(
                "there is no password on standard input", hint='for example: printf %s "$PASSWORD" | tailrace ...'
            )
        return text
    if not sys.stdin.isatty():
        return None
    return _asked(lambda text: getpass.getpass(text))


def _asked(ask: Callable[[str], str]) -> str | None:
    password = ask("Password (empty: one is made): ")
    if not password:
        return None
    if ask("Once more: ") != password:
        raise Invalid("the two passwords differ", hint="type the same one twice")
    return password


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
