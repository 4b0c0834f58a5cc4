"""`tailrace doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tailrace.cli.options import AsJson, Config, Data, Listen, Views
from tailrace.cli.output import BAD_ANSWER, console, print_json

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Also decode every block of the stream and check its sums.")
    ] = False,
    config: Config = None,
    data: Data = None,
    listen: Listen = None,
    views: Views = None,
    as_json: AsJson = False,
) -> None:
    """Examine the machine, the data folder and the running node.

    Looks at Python and its packages, the disk and how fast it makes data durable, locks and port, whether shards have gaps,
    whether every file that the manifest and the lake name is there, whether views compile, and what a running node says. Each
    check is ok, warn or fail, with the next step. It changes nothing; run it beside a node or without one.

    ```
    tailrace doctor
    tailrace doctor --data /srv/tailrace --deep
    tailrace doctor --json
    ```

    Exit codes: 0 nothing failed, 1 something did, 2 the settings are wrong.
    """
    from tailrace.config.load import load_settings
    from tailrace.pipeline.checkup import examine
    from tailrace.runtime.clock import SystemClock

    settings = load_settings(config, data_dir=data, views_dir=views, listen=listen)
    findings = []
    out = console()
    for finding in examine(settings, SystemClock(), deep=deep):
        findings.append(finding)
        if not as_json:
            from rich.text import Text

            style = STYLES[finding.status]
            out.print(
                Text.assemble((f"{finding.status:<5}", style), (f"{finding.check:<12}", "bold"), finding.detail),
                soft_wrap=True,
            )
            if finding.next:
                out.print(Text(f"{'':<17}{finding.next}", style="dim"), soft_wrap=True)
    if as_json:
        print_json({"data_dir": str(settings.data_dir), "checks": [asdict(f) for f in findings]})
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(BAD_ANSWER)
