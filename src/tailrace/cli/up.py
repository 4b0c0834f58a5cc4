"""`tailrace up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.options import AsJson, Config, Data, Listen, Views

if TYPE_CHECKING:
    from tailrace.cli.running import Running


def up(
    config: Config = None,
    data: Data = None,
    listen: Listen = None,
    views: Views = None,
    as_json: AsJson = False,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="3m", help="End after so long. Without it: at Ctrl-C.")
    ] = None,
) -> None:
    """Start a node and keep it running.

    A node takes logs at `POST /v1/logs`, keeps them durably in the data folder, and answers views, SQL and the dashboard, all
    at one address. It is four kinds of processes; one that dies is started again, and the others do not notice. Started again
    on the same folder, it goes on with what it had.

    ```
    tailrace up
    tailrace up --data /srv/tailrace --listen 127.0.0.1:9000 --views ./views
    tailrace up --config tailrace.toml --json
    ```

    Then send it a log, and look:

    ```
    curl --data-binary @access.log 'http://127.0.0.1:8080/v1/logs?format=combined'
    tailrace query "SELECT endpoint, count(*) FROM logs GROUP BY ALL"
    ```

    It listens on this machine only. Logs of its processes are in the data folder, under `run`. Ctrl-C ends it in order, a
    second one at once. `--json` prints one event a line.

    Exit codes: 0 ended as told, 2 the settings are wrong, 3 the port is taken or a node runs on the folder already.
    """
    from tailrace.cli.running import Running, Show
    from tailrace.config.load import load_settings
    from tailrace.model.window import duration_us

    seconds = duration_us(duration) / 1e6 if duration else None
    settings = load_settings(config, data_dir=data, views_dir=views, listen=listen)
    with Running(settings, Show.of(as_json=as_json)) as node:
        if node.wait_ready():
            _say_where(node)
            node.wait(seconds)


def _say_where(node: Running) -> None:
    node.show.lines(
        f"  [bold]dashboard[/]  {node.url}",
        f"  send logs  curl --data-binary @access.log '{node.url}/v1/logs?format=combined'",
        f"  data       {node.settings.data_dir}",
        f"  views      {node.settings.views_dir}"
        + ("" if node.settings.views_dir.is_dir() else "  [dim](not there yet)[/]"),
        f"  processes  {node.process_words()}",
        "  [dim]Ctrl-C ends it[/]",
    )
