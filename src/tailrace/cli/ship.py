"""`tailrace ship`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.client import node_url
from tailrace.cli.options import AsJson, Config
from tailrace.cli.output import BAD_ANSWER, console, print_json, to_reader
from tailrace.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.status import Status

    from tailrace.model.line_format import Multiline
    from tailrace.producers.ship.shipper import Shipped, Shipper
    from tailrace.producers.ship.standard_input import PipeShipper
    from tailrace.runtime.clock import Clock

JSON_S = 5.0
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
COMPRESSIONS = ("auto", "none", "gzip", "zstd")


def ship(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Log files; patterns such as '/var/log/app/*.log' too; - for a pipe."),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", envvar="TAILRACE_URL", help="The node to send to. Without it: the one running here."
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="How the node reads the lines. Without it: as it is set up."),
    ] = None,
    key_field: Annotated[
        str | None, typer.Option("--key-field", metavar="FIELD", help="The field whose value is the partition key.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="One partition key for all lines.")] = None,
    from_end: Annotated[
        bool,
        typer.Option(
            "--from-end/--from-start", help="Where to begin in files that are there when this runs for the first time."
        ),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Ship what there is, then stop.")] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="What was shipped. Without it: a folder below ~/.local/state."),
    ] = None,
    multiline_start: Annotated[
        str | None,
        typer.Option("--multiline-start", metavar="RE", help="A record begins with a line that this RE2 is found in."),
    ] = None,
    multiline_indented: Annotated[
        bool, typer.Option("--multiline-indented", help="A line that begins with a blank continues the record before.")
    ] = False,
    flush_partial: Annotated[
        float | None,
        typer.Option(
            "--flush-partial", metavar="SECONDS", min=0.1, help="Send a last line without an end after so long."
        ),
    ] = None,
    flush_record: Annotated[
        float,
        typer.Option(
            "--flush-record", metavar="SECONDS", min=0.1, help="Take a record of many lines as whole after so long."
        ),
    ] = 2.0,
    connections: Annotated[
        int, typer.Option("--connections", min=1, max=64, help="Posts sent at once. With 1, lines keep their order.")
    ] = 2,
    compression: Annotated[
        str, typer.Option("--compression", metavar="NAME", help="auto, none, gzip or zstd.")
    ] = "auto",
    give_up: Annotated[
        float,
        typer.Option("--give-up", metavar="SECONDS", min=1, help="With --once: when no post gets through so long."),
    ] = 300.0,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Send log files to a node, line by line as they grow, each line exactly once.

    Follows files over rotation, by rename or by copy and truncate, also while this was stopped; reads what was put aside, gzip
    too. What is sent stands in a journal before, so after kill -9, a power cut or days without the node, it goes on where it was:
    nothing is lost and nothing doubled. A last line without an end waits for it.

    ```
    tailrace ship /var/log/nginx/access.log --format combined
    tailrace ship '/var/log/shop/*.log' --to http://10.0.0.5:8080 --from-end
    tailrace ship old.log.*.gz --once --json
    journalctl -f -o json | tailrace ship - --format journal
    ```

    With `--json`, without `--once`: a line of JSON every five seconds, each with the totals so far, the last one at the end.

    Exit codes: 0 all that was read is acknowledged, or stopped; 1 something on the way was lost, with its place, or with `--once`
    a file could not be read; 2 wrong usage, or the node refuses the posts; 3 with `--once`, the node cannot be reached.
    """
    from tailrace.cli.access import key_for
    from tailrace.producers.ship.start import STANDARD_INPUT, Options, ship_files, ship_pipe
    from tailrace.runtime.clock import SystemClock

    if compression not in COMPRESSIONS:
        raise Invalid(f"`{compression}` is no compression", hint=f"use one of: {', '.join(COMPRESSIONS)}")
    params = {name: value for name, value in (("format", format_), ("key_field", key_field), ("key", key)) if value}
    url = node_url(to)
    options = Options(
        url,
        params,
        state=state,
        from_end=from_end,
        once=once,
        multiline=_multiline(format_, multiline_start, multiline_indented, config),
        flush_s=flush_partial,
        lines_flush_s=flush_record,
        patience_s=give_up,
        connections=connections,
        compression=compression,
        token=key_for(url),
    )
    clock, tell = SystemClock(), _teller()
    shipper: PipeShipper | Shipper
    if files == [STANDARD_INPUT]:
        shipper = ship_pipe(sys.stdin.fileno(), options, clock)
    else:
        _check_files(files, once=once)
        shipper = ship_files(files, options, clock, tell)
    before = {number: signal.signal(number, lambda number, frame: shipper.stop.set()) for number in ENDING}
    try:
        with console(stderr=True).status("looking at the files") as status:
            shipped = shipper.run(_watch(status, clock if as_json and not once else None))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    with to_reader():
        if as_json:
            print_json(shipped.as_json())
        else:
            console().print(_summary(shipped))
    if shipped.bytes_lost or shipped.unread:
        raise typer.Exit(BAD_ANSWER)


def _check_files(files: list[str], *, once: bool) -> None:
    """A name without a pattern that is not there is most likely a typing error where nothing can be waited for."""
    import glob

    missing = [name for name in files if not glob.glob(name, recursive=True) and not Path(name).exists()]
    if once and missing:
        raise Invalid(f"there is no file `{missing[0]}`", hint="check the name; a pattern needs quotes")
    for name in missing:
        console(stderr=True).print(f"[dim]waiting for {name}[/]", markup=True)


def _multiline(name: str | None, start: str | None, indented: bool, config: Path | None) -> Multiline | None:
    """How the node joins lines: as said here, else as the settings say of the format."""
    from tailrace.config.load import load_settings
    from tailrace.formats.decode import FORMATS
    from tailrace.model.line_format import Multiline
    from tailrace.model.pattern import check

    if start and indented:
        raise Invalid("a record begins by one rule", hint="use --multiline-start or --multiline-indented")
    if start:
        try:
            check(start)
        except ValueError as error:
            raise Invalid(f"`{start}` is no pattern: {error}", hint="RE2 is what the node uses, too") from error
        return Multiline(start=start)
    if indented:
        return Multiline(indented=True)
    settings = load_settings(config)
    chosen = name or settings.ingest.format
    found = next((each for each in settings.formats if each.name == chosen), None)
    if found is None and chosen not in FORMATS:
        console(stderr=True).print(
            f"[dim]format {chosen} is not known here: each line is taken for a record; "
            "--config, --multiline-start or --multiline-indented say otherwise[/]"
        )
    return found.multiline if found else None


def _teller() -> Callable[[str], None]:
    out = console(stderr=True)

    def tell(text: str) -> None:
        out.print(text, style="dim", markup=False)

    return tell


def _watch(status: Status, clock: Clock | None) -> Callable[[Shipped], None]:
    """With a clock: also a line of JSON every few seconds."""
    told_s = clock.monotonic_s() if clock else 0.0

    def watch(shipped: Shipped) -> None:
        nonlocal told_s
        if clock and clock.monotonic_s() - told_s >= JSON_S:
            told_s = clock.monotonic_s()
            with to_reader():
                print_json(shipped.as_json())
        text = (
            f"{shipped.accepted + shipped.dead_lettered:,} lines   {shipped.bytes_acked / 1e6:,.1f} MB   "
            f"{shipped.files} files   behind {shipped.bytes_behind / 1e6:,.1f} MB   {shipped.retries:,} retries"
        )
        status.update(text + (f"   [yellow]{shipped.problem[:80]}[/]" if shipped.problem else ""))

    return watch


def _summary(shipped: Shipped) -> str:
    lines = [
        f"{shipped.accepted:,} lines stored, {shipped.bytes_acked:,} bytes, {shipped.posts:,} posts, {shipped.retries:,} retries"
    ]
    if shipped.dead_lettered or shipped.deduplicated:
        lines.append(f"besides {shipped.dead_lettered:,} dead letters, {shipped.deduplicated:,} known already")
    if shipped.bytes_behind:
        lines.append(f"{shipped.bytes_behind:,} bytes are still to be read")
    if shipped.bytes_lost:
        lines.append(f"{shipped.bytes_lost:,} bytes LOST: {shipped.lost[0]}")
    lines += [f"NOT read to its end: {each}" for each in shipped.unread]
    return "\n".join(lines)
