"""`tailrace alerts ...`: alerts, rules, history, silences, tests of channels, previews, scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson, Url
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json

app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
silence_app = typer.Typer(rich_markup_mode="markdown", no_args_is_help=True)
app.add_typer(silence_app, name="silence", help="Hold back messages for a while.")
COLOURS = {"firing": "bold red", "recovering": "yellow", "pending": "yellow", "ok": "green"}


@app.callback()
def alerts() -> None:
    """Rules on views, streams and SQL, and what they say now."""


@app.command("list")
@ending_with_reader
def list_alerts(as_json: AsJson = False, url: Url = None) -> None:
    """List the alerts that are not ok, firing ones first, each with its number, threshold and since when.

    ```
    tailrace alerts list
    tailrace alerts list --json | jq '.alerts[].explain'
    ```

    Exit codes: 0 none fires, 1 some do, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/alerts")
    firing = [a for a in answer["alerts"] if a["status"] in ("firing", "recovering") and not a["silenced_by"]]
    if as_json:
        print_json(answer)
    else:
        _print_alerts(answer)
    if firing:
        raise typer.Exit(BAD_ANSWER)


@app.command("rules")
@ending_with_reader
def list_rules(as_json: AsJson = False, url: Url = None) -> None:
    """List the rules, those that come with Tailrace too.

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/alerts/rules")
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("rule", "kind", "reads", "from", "", show_edge=False, header_style="bold")
    for rule in answer["rules"]:
        given = rule["rule"]
        reads = given.get("view") or given.get("stream") or ("SQL" if given.get("sql") else "the node itself")
        problem = rule["error"]["message"] if rule["error"] else "" if rule["enabled"] else "switched off"
        source = "shipped" if rule["shipped"] else "file"
        table.add_row(Text(rule["name"], "bold"), rule["kind"], Text(reads), source, Text(problem, "red"))
    console().print(table)


@app.command("check")
@ending_with_reader
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule files, or channels.toml.")],
    as_json: AsJson = False,
) -> None:
    """Check rule files before they are used; no node is needed.

    ```
    tailrace alerts check alerts/*.toml
    ```

    Exit codes: 0 all can be used, 1 some cannot.
    """
    from tailrace.alerts.notify.channels import read_routing
    from tailrace.alerts.rule_files import CHANNELS_FILE, read_rule_file, read_table
    from tailrace.errors import Invalid

    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            if file.name == CHANNELS_FILE:
                read_routing(read_table(file))
            else:
                read_rule_file(file)
            rows.append({"file": str(file), "ok": True})
        except Invalid as error:
            rows.append({"file": str(file), "ok": False, **error.as_json()})
    if as_json:
        print_json({"files": rows})
    else:
        from rich.text import Text

        for row in rows:
            said = "ok" if row["ok"] else f"{row['error']['message']}\n    try: {row['error']['hint']}"
            console().print(Text.assemble((row["file"], "bold"), "  ", (said, "green" if row["ok"] else "red")))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(BAD_ANSWER)


@app.command("history")
@ending_with_reader
def history(
    since: Annotated[str, typer.Option("--since", help="How far back, or an instant.")] = "24h",
    rule: Annotated[str | None, typer.Option("--rule", help="Only of this rule.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List what changed, newest first: which alert went from which status to which, when, at what number.

    Exit codes: 0 done, 3 no node answers.
    """
    began = since if "-" in since or since == "now" else f"now-{since}"
    params = {"from": began, "limit": str(limit)} | ({"rule": rule} if rule else {})
    answer = Client(node_url(url)).get("/v1/alerts/history", params)
    if as_json:
        print_json(answer)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("at", "rule", "of", "", "value", show_edge=False, header_style="bold")
    for row in answer["history"]:
        said = Text.assemble(row["from"], " > ", (row["to"], COLOURS[row["to"]]))
        table.add_row(
            row["at"], Text(row["rule"]), Text(_key(row["key"])), said, Text(row["reason"] or row["value_text"])
        )
    console().print(table if answer["history"] else "nothing has changed")


@app.command("preview")
@ending_with_reader
def preview(
    rule: Annotated[str, typer.Argument(metavar="RULE|FILE", help="A rule of the node, or a rule file (*.toml).")],
    since: Annotated[str, typer.Option("--since", help="How far back, or an instant.")] = "7d",
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Say how often a rule would have fired, from the history of its view.

    ```
    tailrace alerts preview server-errors
    tailrace alerts preview alerts/slow-login.toml --since 24h
    ```

    Exit codes: 0 done, 2 there is no such rule or it cannot be used, 3 no node answers.
    """
    body: dict[str, Any] = {"name": rule, "from": since if "-" in since else f"now-{since}"}
    if rule.endswith(".toml"):
        from tailrace.alerts.rule_files import read_rule_file

        read = read_rule_file(Path(rule))
        body |= {"name": read.name, "rule": dict(read.given)}
    with Client(node_url(url)).post("/v1/alerts/preview", body) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
        return
    from rich.text import Text

    out = console()
    if answer["reason"]:
        out.print(Text(answer["reason"], "yellow"))
        return
    times = "once" if answer["fired"] == 1 else f"{answer['fired']:,} times"
    out.print(f"would have fired [bold]{times}[/] from {answer['from']} to {answer['to']} ({answer['took_ms']:.0f} ms)")
    for each in answer["episodes"][-20:]:
        worst = "" if each["worst"] is None else f"{each['worst']:.4g} {answer['unit']}"
        out.print(Text(f"  {each['fired_at']}  to  {each['ended_at'] or 'now':<28} {_key(each['key']):<32} {worst}"))


@app.command("test")
@ending_with_reader
def send_test(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="As channels.toml names it.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Send a test message to a channel, and say whether it was taken.

    Exit codes: 0 it was taken, 2 there is no such channel or it cannot work as it is set, 3 it was not taken, or no node answers.
    """
    with Client(node_url(url)).post(f"/v1/alerts/channels/{quote(channel, safe='')}/test", {}) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
    else:
        console().print(f"channel {channel} has taken the message")


@silence_app.command("list")
@ending_with_reader
def list_silences(as_json: AsJson = False, url: Url = None) -> None:
    """List silences and maintenance windows.

    Exit codes: 0 done, 3 no node answers.
    """
    answer = Client(node_url(url)).get("/v1/alerts/silences")
    if as_json:
        print_json(answer)
        return
    from rich.text import Text

    out = console()
    for each in answer["silences"]:
        out.print(
            Text(f"{each['id']}  {each['status']:<8} to {each['to']}  {' '.join(each['matchers'])}  {each['comment']}")
        )
    for each in answer["maintenance"]:
        out.print(
            Text(f"{each['name']:<16}  {'active' if each['active'] else 'waits':<8} {' '.join(each['matchers'])}")
        )
    if not answer["silences"] and not answer["maintenance"]:
        out.print("nothing is held back")


@silence_app.command("add")
@ending_with_reader
def add_silence(
    matchers: Annotated[
        list[str], typer.Argument(metavar="MATCHER...", help="label=value, !=, =~ or !~; all must hold.")
    ],
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long.")] = "1h",
    comment: Annotated[str, typer.Option("--comment", help="Why.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who.")] = "",
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Hold back messages about what matches.

    ```
    tailrace alerts silence add endpoint=/login --for 2h --comment "known, see the ticket"
    ```

    Exit codes: 0 done, 2 a matcher or duration cannot be used, 3 no node answers.
    """
    body = {"matchers": matchers, "for": length, "comment": comment, "created_by": by}
    with Client(node_url(url)).post("/v1/alerts/silences", body) as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
    else:
        console().print(f"{answer['id']}: silent until {answer['to']}")


@silence_app.command("remove")
@ending_with_reader
def remove_silence(
    silence: Annotated[str, typer.Argument(metavar="ID", help="As listed.")], as_json: AsJson = False, url: Url = None
) -> None:
    """Let messages through again.

    Exit codes: 0 done, 2 there is none of this id, 3 no node answers.
    """
    with Client(node_url(url)).open("DELETE", f"/v1/alerts/silences/{quote(silence, safe='')}") as response:
        answer = json.loads(response.read())
    if as_json:
        print_json(answer)
    else:
        console().print(f"{silence} is removed")


def _print_alerts(answer: dict[str, Any]) -> None:
    from rich.text import Text

    out = console()
    for alert in answer["alerts"]:
        held = f"  silenced by {', '.join(alert['silenced_by'])}" if alert["silenced_by"] else ""
        flaps = "  flapping" if alert["flapping"] else ""
        head = alert["annotations"].get("summary") or alert["title"]
        out.print(
            Text.assemble((f"{alert['status']:<10}", COLOURS[alert["status"]]), (head, "bold"), (held + flaps, "dim"))
        )
        out.print(Text(f"          {alert['explain']}"), soft_wrap=True)
    for problem in answer["problems"]:
        place = problem["file"] or problem["rule"]
        out.print(Text(f"problem   {place}: {problem['message']}", "red"), soft_wrap=True)
    if not answer["alerts"]:
        out.print(f"nothing fires; {answer['rules']} rules")


def _key(key: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())
