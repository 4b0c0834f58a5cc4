"""`tailrace profile learn` and `tailrace profile compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.options import AsJson
from tailrace.cli.output import console, ending_with_reader, print_json

if TYPE_CHECKING:
    from tailrace.producers.profile.compare import Comparison, Side

app = typer.Typer(help="What traffic is like: learned from a log, and compared.", no_args_is_help=True)


@app.command("learn")
@ending_with_reader
def learn(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An access log, JSON lines or an array, CSV, or RPC times in ms; plain or .gz."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write it. Without it: standard output."),
    ] = None,
    endpoints: Annotated[
        int, typer.Option("--endpoints", min=1, max=2_000, help="So many by name, the busiest; all others as one.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Learn from a real log what its traffic is like, and write it as TOML that can be read and edited.

    Shares of endpoints and what follows what in a visit, statuses, response times with their tail, how popular addresses are, and when
    requests come. Columns of a table may have any name. Rows that cannot be read are left out and counted. No address and no query
    string of the log is kept.

    ```
    tailrace profile learn access.log -o shop.profile.toml
    tailrace produce --profile shop.profile.toml --rate 500
    ```

    Exit codes: 0 done, 2 no log.
    """
    from tailrace.errors import Invalid
    from tailrace.producers.profile.learn import learn as learned_from
    from tailrace.producers.profile.write import profile_toml

    learned = learned_from(file, endpoints)
    text = profile_toml(learned.profile, times_known=learned.times_known)
    base = learned.base
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Invalid(
                f"`{output}` cannot be written: {error}", hint="name a file in a folder that is there"
            ) from error
    elif not as_json:
        print(text, end="")
    if as_json:
        print_json(
            {
                "what": base.what, "requests": len(base), "skipped": base.skipped, "columns": base.columns,
                "fits": {role: round(share, 4) for role, share in base.fits.items()},
                "endpoints": len(learned.profile.endpoints), "times_known": learned.times_known,
                "output": str(output) if output else None, "profile": text if output is None else None,
            }
        )  # fmt: skip
        return
    columns = ", ".join(
        f"{role} = {name}" + (f" {base.fits[role]:.0%}" if base.fits.get(role, 1.0) < 1 else "")
        for role, name in base.columns.items()
    )
    visits = "learned" if learned.profile.sessions else "not told: times or addresses are missing"
    told = [
        f"{base.what}: {len(base):,} requests, {base.skipped:,} rows left out ({columns})",
        f"{len(learned.profile.endpoints)} endpoints; visits {visits}",
        "response times learned" if learned.times_known else "the log has no response times: the profile has a guess",
    ]
    if output is not None:
        told.append(f"written: {output}\n  next: tailrace produce --profile {output}")
    console(stderr=True).print("\n".join(told), soft_wrap=True)


@app.command("compare")
@ending_with_reader
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A profile (*.toml), or a log.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same.")],
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE.svg", help="Also draw it.")] = None,
    as_json: AsJson = False,
) -> None:
    """How alike two profiles, or the traffic of two logs, are: 0 is the same, 1 has nothing in common.

    ```
    tailrace produce --base access.log --to file:///tmp/made.ndjson --duration 1m
    tailrace profile compare access.log /tmp/made.ndjson --picture alike.svg
    ```

    Exit codes: 0 done, 2 no log or profile.
    """
    from tailrace.errors import Invalid
    from tailrace.producers.profile.compare import compare as compared
    from tailrace.producers.profile.compare import read_side
    from tailrace.producers.profile.picture import picture as drawn

    sides = read_side(first), read_side(second)
    found = compared(*sides)
    if picture is not None:
        try:
            picture.write_text(drawn(*sides, found), encoding="utf-8")
        except OSError as error:
            raise Invalid(
                f"`{picture}` cannot be written: {error}", hint="name a file in a folder that is there"
            ) from error
    if as_json:
        print_json(asdict(found))
        return
    _print(sides, found)
    if picture is not None:
        console(stderr=True).print(f"picture: {picture}", soft_wrap=True)


def _print(sides: tuple[Side, Side], found: Comparison) -> None:
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold")
    for name in ("", "distance", "what is compared"):
        table.add_column(name, justify="right" if name == "distance" else "left")
    for name, distance, what in (
        ("endpoint mix", found.mix, "total variation"),
        ("statuses", found.statuses, "total variation, mean over endpoints"),
        ("what follows what", found.transitions, "total variation, mean over endpoints"),
        ("response times", found.times, "Kolmogorov-Smirnov, all requests"),
        *(
            (f"  {path}", distance, "Kolmogorov-Smirnov")
            for path, distance in list(found.times_by_endpoint.items())[:20]
        ),
        ("hours of the day", found.hours, "total variation"),
        ("days of the week", found.days, "total variation"),
    ):
        table.add_row(name, "-" if distance is None else f"{distance:.3f}", what)
    out = console()
    out.print(table)
    rates = ["-" if rate is None else f"{rate:,.4g}/s" for rate in found.rate]
    out.print(
        f"rate {rates[0]} and {rates[1]}; addresses {found.addresses[0]:,} and {found.addresses[1]:,}, networks "
        f"{found.networks[0]:,} and {found.networks[1]:,}, Zipf exponent {found.zipf[0]:.2f} and {found.zipf[1]:.2f}",
        soft_wrap=True,
    )
    for side, paths in zip(sides, found.only, strict=True):
        if paths:
            out.print(f"only in {side.name}: {len(paths)} endpoints, {', '.join(paths[:5])}", soft_wrap=True)
