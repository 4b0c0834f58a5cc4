"""`tailrace verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.options import AsJson
from tailrace.cli.output import BAD_ANSWER, console, print_json, to_reader

if TYPE_CHECKING:
    from tailrace.cli.client import Client
    from tailrace.producers.verification.expected import Cells, Expected, Key
    from tailrace.producers.verification.judge import Verdict

RECORDS_A_QUESTION = 2_000_000
SHOWN = 20
ROUNDS = 5
"""How often view and logs are compared where other traffic goes on in the same windows: between two questions it has moved."""
PAUSE_S = 0.5


def verify(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="Of all producers, from any machine.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", envvar="TAILRACE_URL", help="The node. Without it: the one that they were sent to."
        ),
    ] = None,
    wait: Annotated[
        str, typer.Option("--wait", metavar="60s", help="How long the node may take to have read everything.")
    ] = "60s",
    covered: Annotated[
        bool, typer.Option("--covered", help="Compare once the batch layer covers every line, instead of at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what was sent with what the views and the ledger say, exactly.

    Each service, endpoint and status in each window of ten seconds: as many records as were acknowledged, and the same sum of
    response times, to the last digit. Other traffic in the same windows does not disturb: lines are told apart by their trace ids.
    A post that was never acknowledged is looked for, and counts if it is there.

    ```
    tailrace verify tailrace-manifests/775ad51a.ndjson
    tailrace verify machine-*/run.ndjson --to http://10.0.0.5:8080 --wait 2m --json
    ```

    Exit codes: 0 every line is counted once, 1 it is not, 2 wrong usage, 3 no node answers.
    """
    from tailrace.cli.verify_node import PatientClient
    from tailrace.model.window import duration_us
    from tailrace.producers.manifest import read_manifest
    from tailrace.producers.verification.expected import expect
    from tailrace.runtime.clock import SystemClock

    read = [read_manifest(path) for path in manifests]
    expected = expect(read)
    node = _node(to, [manifest.begin.spec.target for manifest in read])
    if any(manifest.begin.spec.target != node for manifest in read):
        # What another node's ledger said before the run tells nothing of this one.
        expected.ledger = None
    wait_s = duration_us(wait) / 1e6
    verdict = _verdict(PatientClient(node, SystemClock(), wait_s), expected, wait_s, covered=covered)
    with to_reader():
        if as_json:
            print_json(_as_json(verdict))
        else:
            _print(verdict)
    if not verdict.exact:
        raise typer.Exit(BAD_ANSWER)


def _node(to: str | None, targets: list[str]) -> str:
    from tailrace.cli.client import node_url
    from tailrace.errors import Invalid

    nodes = sorted({target for target in targets if target.startswith("http://")})
    if to is None and len(nodes) > 1:
        raise Invalid(f"the runs were sent to several nodes: {', '.join(nodes)}", hint="say which to ask: --to URL")
    return to or (nodes[0] if nodes else node_url(None))


def _verdict(client: Client, expected: Expected, wait_s: float, *, covered: bool) -> Verdict:
    from tailrace.cli.verify_node import view_cells
    from tailrace.producers.verification.expected import stretches
    from tailrace.producers.verification.judge import Verdict, ledger_problems, unequal

    verdict = Verdict(expected)
    late = _wait(client, wait_s, covered=covered)
    _settle(client, verdict)
    verdict.windows, verdict.cells = len({key.window for key in expected.cells}), len(expected.cells)
    parts = stretches((key.window for key in expected.cells), expected.cells, RECORDS_A_QUESTION)
    keys = unequal(expected.cells, view_cells(client, parts))
    if keys:
        _look_closer(client, verdict, keys)
    state = client.get("/v1/pipeline")
    verdict.problems = [*late, *ledger_problems(expected, state)]
    verdict.position = {shard["id"]: shard["position"] for shard in state["shards"] if shard["position"]}
    return verdict


def _wait(client: Client, wait_s: float, *, covered: bool) -> list[str]:
    """Until speed, or batch, has reached the lines that there are now; the problem if it has not in time."""
    from tailrace.runtime.clock import SystemClock

    clock, lag = SystemClock(), "batch_lag_lines" if covered else "speed_lag_lines"
    deadline_s = clock.monotonic_s() + wait_s
    state = client.get("/v1/pipeline")
    ends = {shard["id"]: shard["lines"] for shard in state["shards"]}
    while True:
        behind = [s["id"] for s in state["shards"] if s["id"] in ends and s["lines"] - s[lag] < ends[s["id"]]]
        if not behind:
            return []
        if clock.monotonic_s() >= deadline_s:
            layer = "batch layer had not covered" if covered else "speed layer had not read"
            return [f"the {layer} everything after {wait_s:g} s: {', '.join(behind)}; wait longer with --wait"]
        clock.sleep(PAUSE_S)
        state = client.get("/v1/pipeline")


def _settle(client: Client, verdict: Verdict) -> None:
    """Ask for the posts that were never acknowledged: what the node has of them is to be in the views, once."""
    from tailrace.cli.verify_node import post_cells
    from tailrace.producers.verification.expected import NONE, stretches

    expected = verdict.expected
    if not expected.doubtful:
        return
    cells: Cells = {}
    for _, each in expected.doubtful.values():
        cells.update(each)
    parts = stretches((key.window for key in cells), cells, RECORDS_A_QUESTION)
    for post, found in post_cells(client, parts, list(expected.doubtful)).items():
        sent = expected.doubtful[post][1]
        # More than was sent is doubled: no more than was sent is to be there.
        held = {key: min(sums, sent.get(key, NONE)) for key, sums in found.items()}
        expected.add_cells(held)
        verdict.settled += sum(sums.records for sums in held.values())


def _look_closer(client: Client, verdict: Verdict, keys: list[Key]) -> None:
    """In the cells where the view does not say what was sent, ask the logs line by line: there may be other traffic as well."""
    from tailrace.cli.verify_node import log_cells, view_cells
    from tailrace.producers.verification.expected import stretches
    from tailrace.producers.verification.judge import judge
    from tailrace.runtime.clock import SystemClock

    expected, clock = verdict.expected, SystemClock()
    parts = stretches((key.window for key in keys), expected.cells, RECORDS_A_QUESTION)
    for _ in range(ROUNDS):
        logs = log_cells(client, parts, expected.runs)
        verdict.differences = judge(expected.cells, view_cells(client, parts), logs, keys)
        if not verdict.differences:
            break
        clock.sleep(PAUSE_S)
    wrong = {each.key for each in verdict.differences}
    verdict.others = sum(key not in wrong for key in keys)


def _print(verdict: Verdict) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(verdict.sentence(), style="bold green" if verdict.exact else "bold red"))
    for line in _details(verdict):
        out.print(f"  {line}", soft_wrap=True)
    for problem in verdict.problems:
        out.print(Text(f"  {problem}", style="red"), soft_wrap=True)
    if not verdict.differences:
        return
    table = Table(show_edge=False, header_style="bold")
    for name in ("window", "service", "endpoint", "status", "sent", "in view", "missing", "doubled", "what"):
        table.add_column(name, justify="right" if name in ("sent", "in view", "missing", "doubled") else "left")
    for each in verdict.differences[:SHOWN]:
        row = each.as_json()
        numbers = (f"{row[name]:,}" for name in ("sent", "in_view", "missing", "doubled"))
        table.add_row(row["window"], each.key.service, each.key.endpoint, str(each.key.status), *numbers, each.what)
    out.print(table)
    if len(verdict.differences) > SHOWN:
        out.print(f"... and {len(verdict.differences) - SHOWN:,} more cells; all of them with --json")


def _details(verdict: Verdict) -> list[str]:
    expected = verdict.expected
    windows, runs = _counted(verdict.windows, "window"), _counted(len(expected.runs), "manifest")
    found = [f"{_counted(verdict.cells, 'cell')} in {windows} of 10 s, {runs}"]
    if expected.dead:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(expected.dead.items()))
        found.append(f"dead letters: {kinds}")
    if expected.untold:
        found.append(
            f"{expected.untold:,} dead letters are as the manifest says: only a node that is sent to by http answers with them"
        )
    if expected.again or expected.deduplicated:
        found.append(
            f"{expected.again:,} lines sent twice on purpose, {expected.deduplicated:,} known already when they came"
        )
    if verdict.others:
        found.append(f"{verdict.others:,} cells hold other traffic too: told apart by trace ids")
    if expected.doubtful:
        found.append(
            f"{expected.doubtful_lines:,} lines were never acknowledged: {verdict.settled:,} of them are stored, and are counted above"
        )
    if expected.open_ended:
        runs = ", ".join(expected.open_ended)
        found.append(f"run {runs} did not end in order: it was killed or still goes on, or its manifest was cut")
    if expected.unsent:
        found.append(f"{expected.unsent:,} lines were made but not sent before the run ended")
    return found


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _as_json(verdict: Verdict) -> dict[str, Any]:
    expected = verdict.expected
    return {
        "exact": verdict.exact,
        "sentence": verdict.sentence(),
        "runs": expected.runs,
        "sent": expected.lines + verdict.settled,
        "counted_once": verdict.counted,
        "missing": verdict.missing,
        "doubled": verdict.doubled,
        "dead_letters": dict(sorted(expected.dead.items())),
        "sent_twice": expected.again,
        "deduplicated": expected.deduplicated,
        "never_acknowledged": expected.doubtful_lines,
        "of_these_stored": verdict.settled,
        "unsent": expected.unsent,
        "open_ended": expected.open_ended,
        "refused": expected.refused,
        "windows": verdict.windows,
        "cells": verdict.cells,
        "cells_with_other_traffic": verdict.others,
        "differences": [each.as_json() for each in verdict.differences],
        "problems": verdict.problems,
        "position": verdict.position,
    }
