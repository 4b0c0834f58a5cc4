"""The program: its commands in the order of a first visit, and what becomes of errors.

Exit codes: 0 done, 1 the answer is bad, 2 wrong usage, 3 unavailable.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tailrace.cli import (
    alerts,
    alerts_score,
    annotate,
    backup,
    bench,
    dashboards,
    deadletters,
    demo,
    doctor,
    endpoints,
    explain,
    formats,
    import_,
    keys,
    pins,
    produce,
    profile,
    query,
    search,
    shards,
    ship,
    streams,
    tail,
    up,
    users,
    verify,
    version,
    view_versions,
)
from tailrace.cli.output import UNAVAILABLE, WRONG_USAGE, ending_with_reader, fail
from tailrace.errors import Invalid, TailraceError

app = typer.Typer(
    name="tailrace",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from.", envvar="TAILRACE_DEBUG")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=version.print_and_exit)
    ] = False,
) -> None:
    """See what your micro-services are doing now, and trust the number.

    Begin with `tailrace demo`: it starts a node with made-up traffic and shows where to look.
    """
    if debug:
        os.environ["TAILRACE_DEBUG"] = "1"


app.command("demo")(ending_with_reader(demo.demo))
app.command("up")(ending_with_reader(up.up))
app.command("tail")(ending_with_reader(tail.tail))
app.command("search")(ending_with_reader(search.search))
app.command("query")(ending_with_reader(query.query))
app.command("explain")(ending_with_reader(explain.explain))
app.add_typer(view_versions.app, name="views")
app.add_typer(streams.app, name="streams")
app.add_typer(pins.app, name="pins")
alerts.app.command("score")(ending_with_reader(alerts_score.score_runs))
app.add_typer(alerts.app, name="alerts")
app.add_typer(dashboards.app, name="dashboards")
app.command("annotate")(ending_with_reader(annotate.annotate))
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(shards.app, name="shards")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(formats.app, name="formats")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(produce.app, name="produce")
app.command("verify")(ending_with_reader(verify.verify))
app.add_typer(profile.app, name="profile")
app.add_typer(import_.app, name="import")
app.command("ship")(ending_with_reader(ship.ship))
app.command("backup")(ending_with_reader(backup.backup))
app.command("restore")(ending_with_reader(backup.restore))
app.command("bench")(ending_with_reader(bench.bench))
app.command("doctor")(ending_with_reader(doctor.doctor))
app.command("version")(ending_with_reader(version.version))


def main(words: list[str]) -> int:
    """The exit code of `tailrace WORDS`."""
    try:
        typer.main.get_command(app).main(args=words, prog_name="tailrace")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        return 0
    except TailraceError as error:
        fail(error, as_json="--json" in words)
        return exit_code(error)
    return 0


def exit_code(error: TailraceError) -> int:
    return WRONG_USAGE if isinstance(error, Invalid) else UNAVAILABLE


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
