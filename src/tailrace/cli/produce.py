"""`tailrace produce` and `tailrace produce ctl`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.options import AsJson
from tailrace.cli.output import BAD_ANSWER, console, ending_with_reader, print_json, to_reader

if TYPE_CHECKING:
    from tailrace.producers.conductor import Conductor
    from tailrace.producers.tally import SinkCounts

PLAIN_S = 10.0
LIVE_S = 0.25
MANIFESTS = "tailrace-manifests"

app = typer.Typer()


@app.callback(invoke_without_command=True)
@ending_with_reader
def produce(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TARGET",
            envvar="TAILRACE_URL",
            help="http://HOST:PORT of a node, kinesis://STREAM, kafka://HOST:PORT/TOPIC, file://PATH or stdout. "
            "Without it: the node running here.",
        ),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Lines a second, of all processes.")] = 1000,
    processes: Annotated[int, typer.Option("--processes", metavar="N", min=1, max=64, help="Processes.")] = 1,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="3m", help="How long, e.g. 90s, 3m, 1h. Without it: 1m, or until now with --since."
        ),
    ] = None,
    connections: Annotated[int, typer.Option("--connections", min=1, max=64, help="Of each process, at once.")] = 2,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**63 - 1,
            help="The same seed makes the same lines, but for their times and trace ids.",
        ),
    ] = 1,
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="FILE", help="What traffic is like. Without it: a small shop.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--base", metavar="FILE", help="A real log: learn its profile, then make traffic like it."),
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            metavar="NAME|FILE.toml",
            help="steady, rush, outage, slow, ddos, deploy, flap, late, duplicates, poison, skew, or a timeline of them.",
        ),
    ] = "steady",
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help=f"The ground truth. Without it: ./{MANIFESTS}/RUN.ndjson."),
    ] = None,
    no_manifest: Annotated[
        bool, typer.Option("--no-manifest", help="Write none; nothing can be verified then.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="30d", help="Fill history: event times begin so long ago.")
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", metavar="1000x", help="With --since: how much faster than real event time goes.")
    ] = "1x",
    encoding: Annotated[str, typer.Option("--encoding", help="Of posts to http: none, gzip or zstd.")] = "none",
    endpoint_url: Annotated[
        str | None, typer.Option("--endpoint-url", metavar="URL", help="With kinesis://: another service than AWS's.")
    ] = None,
    patience: Annotated[
        str, typer.Option("--patience", metavar="1m", help="How long to wait at the end for what is not acknowledged.")
    ] = "1m",
    as_json: AsJson = False,
) -> None:
    """Send made-up traffic whose exact totals are known, and count what became of each line.

    Exactly rate x duration lines, plus what a rush or an attack adds. A line is sent again until it is acknowledged; it
    carries its producer's number, so the node stores it once. The manifest says what was sent, `tailrace verify` whether it is
    in the views, once.

    ```
    tailrace produce --rate 16000 --processes 10 --duration 3m
    tailrace produce --scenario slow --duration 90s
    tailrace produce --base access.log --rate 500
    tailrace produce --since 30d --speed 10000x --rate 5000
    tailrace verify tailrace-manifests/*.ndjson
    ```

    Exit codes: 0 all acknowledged, 1 some were not, 2 wrong usage, 3 no node answers.
    """
    if context.invoked_subcommand is not None:
        return
    from tailrace.cli.access import key_for
    from tailrace.cli.produce_plan import Asked, plan
    from tailrace.model.window import duration_us
    from tailrace.producers.conductor import Conductor
    from tailrace.producers.control import Ear
    from tailrace.producers.sinks.targets import kind_of
    from tailrace.runtime.clock import SystemClock

    asked = Asked(
        to=to, rate=rate, processes=processes, duration=duration, connections=connections, seed=seed, profile=profile,
        base=base, scenario=scenario, since=since, speed=speed, encoding=encoding, endpoint_url=endpoint_url or "",
    )  # fmt: skip
    planned = plan(asked)
    patience_s = duration_us(patience) / 1e6
    path = None if no_manifest else manifest or _manifest_path(planned.spec.run)
    key = key_for(planned.spec.target)
    with Conductor(planned.spec, SystemClock(), path, planned.ledger, patience_s, key) as conductor:
        with Ear(planned.spec.run, conductor.obey) as ear:
            if ear.problem and not as_json:
                console(stderr=True).print(f"[yellow]no orders can be given:[/] {ear.problem}", soft_wrap=True)
            conductor.begin(planned.since_us)
            whole = _Watch(conductor, patience_s, as_json=as_json).run()
        counts, seconds = conductor.end(whole=whole)
    lines_on_stdout = kind_of(planned.spec.target) == "stdout"
    with to_reader():
        if as_json and not lines_on_stdout:
            print_json(_result(counts, seconds, planned.spec.run, path))
        else:
            out = console(stderr=lines_on_stdout)
            out.print(_summary(counts, seconds), soft_wrap=True)
            if path is not None:
                out.print(f"manifest: {path}\n  next: tailrace verify {path}", soft_wrap=True)
    if counts.failed or counts.sent != counts.acked:
        raise typer.Exit(BAD_ANSWER)


@app.command("ctl")
@ending_with_reader
def ctl(
    orders: Annotated[
        list[str], typer.Argument(help="rate=50000, pause, resume, scenario=slow for=30s endpoint=/login, stop, status")
    ],
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Which, where several are running.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a running producer something.

    ```
    tailrace produce ctl rate=50000
    tailrace produce ctl pause
    tailrace produce ctl scenario=outage for=30s endpoint=/profile
    ```

    It holds a second later, for all processes at the same slot, and is in the manifest.

    Exit codes: 0 done, 2 not an order, 3 no producer is running.
    """
    from tailrace.producers.control import tell

    words = {name: value for name, _, value in (word.partition("=") for word in orders)}
    state = tell(words, run)
    if as_json:
        print_json(state)
        return
    paused = ", paused" if state["paused"] else ""
    situation = f", {state['situation']}" if state["situation"] else ""
    console().print(
        f"run {state['run']}: {state['rate']:,.0f} lines/s{paused}, {state['acked']:,} acknowledged, "
        f"{state['elapsed_s']:.0f} of {state['duration_s']:.0f} s{situation}"
    )


def _manifest_path(run: str) -> Path:
    from tailrace.errors import Invalid

    folder = Path(MANIFESTS)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"`{folder}` cannot be made: {error}", hint="name a file with --manifest, or --no-manifest"
        ) from error
    return folder / f"{run}.ndjson"


class _Watch:
    """Shows how it goes until all is done. Ctrl-C or SIGTERM: what is on the way is waited for; once more: not."""

    def __init__(self, conductor: Conductor, patience_s: float, *, as_json: bool) -> None:
        self._conductor, self._patience_s = conductor, patience_s
        self._out = console(stderr=True)
        self._quiet = as_json
        self._told = 0
        self._seen: tuple[float, int] = (0.0, 0)
        self._rate = 0.0

    def run(self) -> bool:
        """Whether it ran to its end."""
        import signal
        import threading

        from tailrace.pipeline import signals

        wake = threading.Event()

        def told(_: signal.Signals) -> None:
            self._told += 1
            wake.set()

        signals.watch((signal.SIGINT, signal.SIGTERM), told)
        live = not self._quiet and self._out.is_terminal
        status = self._out.status("starting") if live else None
        if status is not None:
            status.start()
        try:
            whole = self._until_done(wake, status)
        finally:
            if status is not None:
                status.stop()
        return whole

    def _until_done(self, wake: Any, status: Any) -> bool:
        conductor, obeyed, plain_s = self._conductor, 0, PLAIN_S
        while not conductor.step():
            wake.wait(LIVE_S)
            elapsed_s = conductor.elapsed_s
            if self._told > obeyed or (conductor.stopping and not obeyed):
                obeyed = max(self._told, 1)
                wake.clear()
                conductor.stop(self._patience_s if obeyed == 1 else 0.0)
                self._say("ending: waiting for what is on the way; again: end at once")
            if status is not None:
                status.update(self._words(elapsed_s))
            elif elapsed_s >= plain_s and not self._quiet:
                plain_s += PLAIN_S
                self._say(self._words(elapsed_s))
        return not obeyed

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._out.print(text, soft_wrap=True)

    def _words(self, elapsed_s: float) -> str:
        counts = self._conductor.fleet.counts()
        then_s, before = self._seen
        if elapsed_s - then_s >= 1.0:
            self._rate = (counts.acked - before) / (elapsed_s - then_s)
            self._seen = (elapsed_s, counts.acked)
        parts = [
            f"{self._rate:,.0f} lines/s",
            f"{counts.acked:,} acknowledged",
            f"{counts.retries:,} retries",
            f"{counts.dead_lettered:,} dead letters",
            _ack(counts),
        ]
        if counts.failed:
            parts.append(f"[red]{counts.failed:,} failed: {counts.problem}[/]")
        elif counts.retries and counts.sent > counts.acked and not self._rate:
            parts.append(f"[yellow]waiting for the target: {counts.problem}[/]")
        if situation := self._conductor.situation():
            parts.append(f"[yellow]{situation}[/]")
        return "   ".join(parts)


def _ack(counts: SinkCounts) -> str:
    if counts.ack_p50_ms is None or counts.ack_p99_ms is None:
        return "ack -"
    return f"ack p50 {counts.ack_p50_ms:.0f} ms, p99 {counts.ack_p99_ms:.0f} ms"


def _result(counts: SinkCounts, seconds: float, run: str, path: Path | None) -> dict[str, Any]:
    return {
        **asdict(counts),
        "seconds": round(seconds, 3),
        "lines_per_s": round(counts.acked / seconds, 1),
        "run": run,
        "manifest": str(path) if path is not None else None,
    }


def _summary(counts: SinkCounts, seconds: float) -> str:
    lines = [
        f"{counts.sent:,} lines sent, {counts.acked:,} acknowledged in {seconds:.1f} s: {counts.acked / seconds:,.0f} lines/s",
        f"{counts.posts:,} posts, {counts.retries:,} retries, {_ack(counts)}",
    ]
    if counts.dead_lettered or counts.deduplicated:
        lines.append(f"of these {counts.dead_lettered:,} dead letters, {counts.deduplicated:,} known already")
    if counts.sent != counts.acked:
        lines.append(f"{counts.sent - counts.acked:,} NOT acknowledged: {counts.problem or 'not answered in time'}")
    return "\n".join(lines)
