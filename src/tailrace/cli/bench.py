"""`tailrace bench`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def bench(
    pieces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PIECE]...",
            help="Of those named above. Without one: all but profile.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=100, help="Runs of cost, visible and ship.")] = 5,
    lines: Annotated[
        int, typer.Option("--lines", min=10_000, help="Lines of one run of cost, queries, ship and profile.")
    ] = 2_000_000,
    connections: Annotated[int, typer.Option("--connections", min=1, max=64, help="Of the loader.")] = 3,
    probes: Annotated[int, typer.Option("--probes", min=1, help="Of one run of visible.")] = 200,
    seconds: Annotated[float, typer.Option("--seconds", min=10, help="Of held and keys.")] = 600,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Lines a second of held; 0: as fast as it goes.")
    ] = 300_000,
    restart_lines: Annotated[
        int, typer.Option("--restart-lines", min=100_000, help="Lines behind a restart: an hour at 16,000 a second.")
    ] = 57_600_000,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where data folders are made. Without it: the system's."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write every figure of every run there.")
    ] = None,
) -> None:
    """Measure a node on this machine: fresh ones with default settings, the loader a process on the same cores.

    - **cost**: CPU, memory and disk of a million lines, from the first post until views and lake hold them
    - **kinesis**: the same for a million records through the Kinesis API, 500 a request
    - **watched**: the same, with a dashboard open
    - **visible**: from an acknowledgement until a view shows it, at 1,000 and at 50,000 lines a second
    - **held**: lines a second through to the views for ten minutes, and whether the lag stays flat
    - **keys**: memory with a view of a million keys an hour
    - **queries**: SQL over the raw lines
    - **history**: a view over 30 days
    - **restart**: after kill -9 of all processes
    - **produce**: lines a second that one process of `tailrace produce` makes and sends
    - **ship**: lines a second from a log file
    - **profile**: where the CPU goes

    Every figure is checked first: views, ledger and drift check must agree, or the measurement ends with an error. All of it takes
    about an hour, and some gigabytes of disk that are given back. Compare ratios: a shared machine is not as fast every day.

    ```
    tailrace bench cost --lines 1000000 --runs 3
    tailrace bench queries history --json figures.json
    ```

    Exit codes: 0 measured, 1 an answer was wrong, 2 wrong usage.
    """
    from tailrace.bench.run import PIECES, Options, run
    from tailrace.cli.output import BAD_ANSWER
    from tailrace.errors import Invalid

    unknown = [name for name in pieces or () if name not in PIECES]
    if unknown:
        raise Invalid(f"there is no piece `{unknown[0]}`", hint=f"pieces: {', '.join(PIECES)}")
    # As Ctrl-C does: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    options = Options(
        runs=runs,
        lines=lines,
        connections=connections,
        probes=probes,
        seconds=seconds,
        rate=rate,
        restart_lines=restart_lines,
        folder=folder,
    )
    try:
        found = run(tuple(pieces or ()), options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(BAD_ANSWER) from error
    if json_file:
        json_file.write_text(json.dumps(found, indent=1), encoding="utf-8")
