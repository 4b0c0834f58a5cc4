"""`tailrace alerts score`: the rules of a node against the labels of runs of `tailrace produce`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import BAD_ANSWER, console, print_json

if TYPE_CHECKING:
    from tailrace.alerts.score import Anomaly, Fired, Score

SETTLE_US = 300_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """A run in event time, and how its time of arrival goes with it."""

    path: Path
    from_us: int
    to_us: int
    start_us: int
    speed: float

    def event_us(self, arrival_us: int) -> int:
        return self.from_us + round((arrival_us - self.start_us) * self.speed)


def score_runs(
    manifests: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="Of runs of tailrace produce.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Score the node's rules against what went wrong on purpose: which anomalies had an alert, how late, and which alerts were wrong.

    Each rule is replayed over the time of the runs, in event time, so history that was filled in with `--since` can be scored too. A run
    of nothing but its own traffic is wanted: what others send is judged as if it were of the run.

    ```
    tailrace produce --to http://127.0.0.1:8080 --since 30m --speed 60x --rate 6000 --scenario outage --manifest m.ndjson
    tailrace alerts score m.ndjson
    ```

    Exit codes: 0 every anomaly had an alert and no alert was wrong, 1 not so, 2 wrong usage, 3 no node answers.
    """
    from tailrace.alerts.score import score

    client = Client(node_url(url))
    anomalies: list[Anomaly] = []
    fired: list[Fired] = []
    for path in manifests:
        run, labels = _read(path)
        anomalies += labels
        fired += _fired(client, run)
    found = score(anomalies, fired)
    if as_json:
        print_json(_json(found))
    else:
        _print(found)
    if found.wrong or found.recall < 1:
        raise typer.Exit(BAD_ANSWER)


def _read(path: Path) -> tuple[Run, list[Anomaly]]:
    from tailrace.alerts.score import Anomaly
    from tailrace.model.window import parse_iso
    from tailrace.producers.manifest import read_manifest

    manifest = read_manifest(path)
    spec = manifest.begin.spec
    times = spec.times
    last_us = times.slot_event_us(spec.slots)
    run = Run(path, times.event_us, last_us, times.start_us, times.speed)
    labels = [
        Anomaly(each.scenario, parse_iso(each.begins_at), parse_iso(each.ends_at), frozenset(each.endpoints), spec.run)
        for each in manifest.labels
    ]
    return run, labels


def _fired(client: Client, run: Run) -> list[Fired]:
    """What each rule would have said. Dead letters are counted as they arrive; their time is that of the run."""
    from tailrace.alerts.score import Fired
    from tailrace.model.window import iso, parse_iso

    found = []
    for rule in client.get("/v1/alerts/rules")["rules"]:
        if not rule["enabled"] or rule["kind"] in ("drift", "ledger"):
            continue
        by_arrival = rule["kind"] == "dead_letters"
        length_us = run.to_us - run.from_us
        # What an idle node says before and after a run is not about the run: nothing is judged beyond its end.
        from_us = run.start_us if by_arrival else run.from_us
        to_us = run.start_us + round(length_us / run.speed) + SETTLE_US if by_arrival else run.to_us
        body = {"name": rule["name"], "from": iso(from_us), "to": iso(to_us)}
        with client.post("/v1/alerts/preview", body) as response:
            answer = json.loads(response.read())
        for each in answer["episodes"]:
            at_us = parse_iso(each["fired_at"])
            ended_us = None if each["ended_at"] is None else parse_iso(each["ended_at"])
            if by_arrival:
                at_us = min(run.event_us(at_us), run.to_us)
                ended_us = None if ended_us is None else run.event_us(ended_us)
            found.append(Fired(rule["name"], at_us, ended_us, each["key"].get("endpoint")))
    return found


def _json(found: Score) -> dict[str, Any]:
    from tailrace.model.window import iso

    return {
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
        "alerts": found.alerts,
        "anomalies": [
            {
                "run": f.anomaly.run,
                "scenario": f.anomaly.scenario,
                "begins_at": iso(f.anomaly.from_us),
                "ends_at": iso(f.anomaly.to_us),
                "delay_s": None if f.delay_us is None else round(f.delay_us / 1e6, 1),
                "rules": sorted({a.rule for a in f.alerts}),
            }
            for f in found.found
        ],
        "wrong": [{"rule": w.rule, "at": iso(w.at_us), "endpoint": w.endpoint} for w in found.wrong],
    }


def _print(found: Score) -> None:
    from rich.table import Table
    from rich.text import Text

    from tailrace.model.window import iso

    out = console()
    shown = _json(found)
    table = Table("scenario", "begins", "delay", "alerts", show_edge=False, header_style="bold")
    for each in shown["anomalies"]:
        delay = Text("none", "red") if each["delay_s"] is None else Text(f"{each['delay_s']:g} s")
        table.add_row(each["scenario"], each["begins_at"], delay, Text(", ".join(each["rules"])))
    if shown["anomalies"]:
        out.print(table)
    for wrong in found.wrong:
        out.print(Text(f"wrong: {wrong.rule} {wrong.endpoint or ''} at {iso(wrong.at_us)}", "red"))
    out.print(f"precision {found.precision:.3f}, recall {found.recall:.3f}, {found.alerts} alerts")
