"""`tailrace annotate`: tell what happened, for charts to mark."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import console, print_json


def annotate(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What happened.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="NAME", help="Dashboards choose by it what they mark.")
    ] = "deploy",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="now, now-5m, or ISO 8601.")] = "now",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Where it lasted. Without it: a moment.")
    ] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TEXT", help="As often as you want.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Tell a running node what happened, such as a deploy; charts mark it.

    ```
    tailrace annotate "checkout 42 is out" --tag checkout
    tailrace annotate "load test" --kind test --at now-30m --until now
    ```

    Exit codes: 0 done, 2 wrong usage, 3 no node answers.
    """
    wish: dict[str, Any] = {"text": text, "kind": kind, "at": at, "until": until, "tags": tags or []}
    with Client(node_url(url)).post("/v1/annotations", wish) as response:
        told = json.loads(response.read())
    if as_json:
        print_json(told)
        return
    console().print(f"{told['kind']} at {told['at']}: {told['id']}", markup=False)
