"""`tailrace version`."""

from __future__ import annotations

import typer

from tailrace import __version__
from tailrace.cli.options import AsJson
from tailrace.cli.output import print_json


def version(as_json: AsJson = False) -> None:
    """Print the version of Tailrace.

    ```
    tailrace version
    tailrace version --json
    ```
    """
    if as_json:
        print_json({"version": __version__})
    else:
        print(f"tailrace {__version__}")


def print_and_exit(asked: bool) -> None:
    """For the option `--version`."""
    if asked:
        version()
        raise typer.Exit
