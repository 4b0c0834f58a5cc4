"""`tailrace endpoints suggest`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli.formats import head_of
from tailrace.cli.options import AsJson, Config
from tailrace.cli.output import console, ending_with_reader, print_json

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def endpoints() -> None:
    """What counts as one endpoint: rules that make one of many paths."""


@app.command("suggest")
@ending_with_reader
def suggest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of log lines.")],
    format_name: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="As `tailrace formats list` names it.")
    ] = None,
    distinct: Annotated[
        int, typer.Option("--distinct", metavar="N", min=2, help="A place with so many different segments varies.")
    ] = 20,
    lines: Annotated[
        int, typer.Option("--lines", metavar="N", min=1, help="Look at so many from the beginning.")
    ] = 100_000,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Propose rules for `tailrace.toml` from the paths in a log file.

    Paths that the rules in `tailrace.toml` make one endpoint of already are left out. Look at what is proposed before you use it: where
    many different pages stand side by side, they look like a variable too.

    ```
    tailrace endpoints suggest access.log --format combined
    tailrace endpoints suggest app.ndjson --distinct 50 >> tailrace.toml
    ```

    Exit codes: 0 done, 2 wrong usage.
    """
    from tailrace.config.load import load_settings
    from tailrace.formats import suggest as suggesting
    from tailrace.formats.decode import decode, known_format
    from tailrace.formats.endpoints import templated
    from tailrace.formats.reading import limits_of, options_of

    settings = load_settings(config)
    chosen = known_format(format_name or settings.ingest.format, settings.formats)
    options = replace(options_of(settings), endpoint_rules=())
    found = decode(head_of(file, lines), chosen, settings.fields, limits_of(settings, 1 << 62), options)
    paths = found.columns.column("endpoint").combine_chunks().drop_null()
    ruled = set(templated(paths, settings.endpoint_rules)[1].tolist())
    counts = Counter(path for row, path in enumerate(paths.to_pylist()) if row not in ruled)
    proposed = suggesting.suggest(counts, distinct)
    if as_json:
        rules = [
            {
                "match": s.rule.match,
                "template": s.rule.template,
                "lines": s.lines,
                "paths": s.paths,
                "example": s.example,
            }
            for s in proposed
        ]
        print_json({"lines": found.count, "paths": len(counts), "rules": rules})
        return
    if not proposed:
        console(stderr=True).print(f"no rule to propose for {len(counts):,} paths in {found.count:,} lines")
    for each in proposed:
        print(
            f"# {each.lines:,} lines, {each.paths:,} paths, for example {json.dumps(each.example, ensure_ascii=False)}"
        )
        print("[[endpoint_rules]]")
        print(f"match = {json.dumps(each.rule.match, ensure_ascii=False)}")
        print(f"template = {json.dumps(each.rule.template, ensure_ascii=False)}\n")
