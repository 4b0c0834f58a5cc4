"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="TAILRACE_URL",
        help="The node to talk to. Without it: the one that runs on ./tailrace-data, else http://127.0.0.1:8080. "
        "The variable TAILRACE_KEY holds the secret for a node with keys.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings. Without it: ./tailrace.toml, if there is one."),
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where everything is kept. Without it: ./tailrace-data.")
]
Views = Annotated[
    Path | None,
    typer.Option("--views", metavar="DIR", help="Folder of view files (*.sql), watched. Without it: ./views."),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help="Address of the node; without users and keys a loopback one. Default: 127.0.0.1:8080.",
    ),
]
