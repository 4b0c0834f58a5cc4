"""`tailrace produce`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.client import Client, node_url
from tailrace.cli.options import AsJson
from tailrace.cli.output import BAD_ANSWER, console, print_json

if TYPE_CHECKING:
    from tailrace.producers.tally import SinkCounts
    from tailrace.producers.worker import Producer

LINES_A_POST_MAX = 10_000


def produce(
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", envvar="TAILRACE_URL", help="The node to send to. Without it: the one running here."
        ),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", min=1, max=1_000_000, help="Lines a second.")] = 1000,
    duration: Annotated[str, typer.Option("--duration", metavar="3m", help="How long, e.g. 90s, 3m, 1h.")] = "1m",
    connections: Annotated[int, typer.Option("--connections", min=1, max=64, help="Connections at once.")] = 2,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="The same seed makes the same lines, but for their times.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Send made-up traffic to a node that is running, and count what became of each line.

    Exactly rate x duration lines, plus those of the attacks that are part of the story. A line is sent again until it is
    acknowledged; it carries its producer's number, so the node stores it once.

    ```
    tailrace produce --rate 5000 --duration 30s
    tailrace produce --to http://127.0.0.1:9000 --rate 50000 --duration 3m --connections 4 --json
    ```

    Exit codes: 0 all acknowledged, 1 some were not, 2 wrong usage, 3 no node answers.
    """
    from tailrace.cli.access import key_for
    from tailrace.model.window import duration_us
    from tailrace.producers.sinks.http import HttpSink
    from tailrace.producers.traffic import SLOT_US, Traffic, posts
    from tailrace.producers.worker import Producer
    from tailrace.runtime.clock import SystemClock

    clock = SystemClock()
    url = node_url(to)
    Client(url).get("/v1/views")
    slots = duration_us(duration) // SLOT_US
    start_us = clock.now_us()
    name, epoch = f"tailrace-produce-{seed}", start_us // 1000
    sink = HttpSink(
        url, clock, producer=name, epoch=epoch, connections=connections, params={"format": "json"}, key=key_for(url)
    )
    traffic = Traffic(seed=seed, rate=rate, start_us=start_us)
    producer = Producer(posts(traffic, clock, lines_max=LINES_A_POST_MAX, slots=slots), sink, clock)
    try:
        _watch(producer, as_json=as_json)
    except KeyboardInterrupt:
        console(stderr=True).print("[dim]ending: waiting for what is on the way[/]")
    counts = producer.stop()
    seconds = (clock.now_us() - start_us) / 1e6
    if as_json:
        print_json({**asdict(counts), "seconds": round(seconds, 3), "lines_per_s": round(counts.acked / seconds, 1)})
    else:
        console().print(_summary(counts, seconds))
    if counts.failed:
        raise typer.Exit(BAD_ANSWER)


def _watch(producer: Producer, *, as_json: bool) -> None:
    """Until all has been handed to the sink; a live line on a terminal."""
    out = console(stderr=True)
    if as_json or not out.is_terminal:
        while not producer.wait(0.5):
            pass
        return
    with out.status("sending") as status:
        while not producer.wait(0.25):
            counts = producer.counts()
            status.update(f"{counts.acked:,} acknowledged   {counts.retries:,} retries   {_ack(counts)}")


def _ack(counts: SinkCounts) -> str:
    if counts.ack_p50_ms is None or counts.ack_p99_ms is None:
        return "ack -"
    return f"ack p50 {counts.ack_p50_ms:.0f} ms, p99 {counts.ack_p99_ms:.0f} ms"


def _summary(counts: SinkCounts, seconds: float) -> str:
    lines = [
        f"{counts.sent:,} lines sent, {counts.acked:,} acknowledged in {seconds:.1f} s: {counts.acked / seconds:,.0f} lines/s",
        f"{counts.posts:,} posts, {counts.retries:,} retries, {_ack(counts)}",
    ]
    if counts.dead_lettered or counts.deduplicated:
        lines.append(f"of these {counts.dead_lettered:,} dead letters, {counts.deduplicated:,} known already")
    if counts.failed:
        lines.append(f"{counts.failed:,} NOT acknowledged: {counts.problem}")
    return "\n".join(lines)
