"""`tailrace demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.options import AsJson, Config, Data, Listen, Views
from tailrace.errors import Invalid

if TYPE_CHECKING:
    from tailrace.cli.running import Running
    from tailrace.cli.scene import Scene
    from tailrace.producers.replay import Replay

LIVE_S = 0.5
PLAIN_S = 10.0


def demo(
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            help="Play this log instead of made-up traffic: NDJSON, Apache or nginx; plain or .gz.",
        ),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            "--speed", metavar="60x", help="With --replay: how much faster than it was; 60x plays a minute a second."
        ),
    ] = "1x",
    keep_time: Annotated[
        bool, typer.Option("--keep-time", help="With --replay: leave the stamps of the log as they are.")
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=1, max=200_000, help="Made-up traffic, lines a second.")
    ] = 300,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="3m", help="End after so long. Without it: at Ctrl-C.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the dashboard in a browser, if there is one.")
    ] = True,
    config: Config = None,
    data: Data = None,
    listen: Listen = None,
    views: Views = None,
    as_json: AsJson = False,
) -> None:
    """Start a node with traffic and a dashboard, no questions asked.

    The traffic is that of a small shop: logins, home pages, profiles, logouts, from three services. Every few minutes something
    goes wrong: logins become slow, profiles answer 503, one network tries passwords. Watch it on the page, then ask about it.

    ```
    tailrace demo
    tailrace demo --rate 2000 --duration 10m --no-browser
    tailrace demo --replay access.log --speed 60x
    ```

    With `--replay`, the first line of the log happens now, and the others follow at the log's own pace divided by the speed: new
    stamp = start + (old stamp - first stamp) / speed. The newest line is always "now". With `--keep-time` the pace is the same and
    the stamps stay, so the page shows them in their own past. When the log is at its end, the node goes on.

    Data is kept in the data folder; started again, the demo goes on with it. Ctrl-C ends everything.

    Exit codes: 0 ended as told, 2 wrong usage, 3 the port is taken or a node runs on the folder already.
    """
    from tailrace.cli.running import Running, Show
    from tailrace.cli.scene import open_replay
    from tailrace.config.load import load_settings
    from tailrace.model.window import duration_us

    if replay is None and (keep_time or speed != "1x"):
        word = "--keep-time" if keep_time else "--speed"
        raise Invalid(f"`{word}` is for a log that is replayed", hint="add --replay FILE")
    seconds = duration_us(duration) / 1e6 if duration else None
    settings = load_settings(config, data_dir=data, views_dir=views, listen=listen)
    log = open_replay(replay, speed, settings.fields, keep_time=keep_time) if replay else None
    _play(Running(settings, Show.of(as_json=as_json)), log, rate, seconds, browser=browser)


def _play(running: Running, log: Replay | None, rate: float, seconds: float | None, *, browser: bool) -> None:
    """Until `seconds` are over, or Ctrl-C: the log, or without one made-up traffic."""
    from tailrace.cli.browser import open_page
    from tailrace.cli.scene import made_up, played

    with running as node:
        if not node.wait_ready():
            return
        scene = played(node.url, log, node.clock, node.key) if log else made_up(node.url, rate, node.clock, node.key)
        try:
            _tell(node, scene)
            if browser:
                open_page(node.url)
            _watch(node, scene, seconds)
        finally:
            _finish(node, scene)


def _tell(node: Running, scene: Scene) -> None:
    where = f"'{node.url}/v1/views/endpoint_health?step=1m'"
    node.show.lines(
        f"  [bold]dashboard[/]  [bold cyan]{node.url}[/]",
        f"  traffic    {scene.title}",
        f"  data       {node.settings.data_dir}",
        "",
        "  Try next, in another terminal:",
        f"    curl {where}",
        f"    tailrace tail --url {node.url} --where 'status >= 500'",
        f"    tailrace explain --url {node.url} endpoint_health now-10s",
        f"    put a view into {node.settings.views_dir}/mine.sql: it covers all of history and stays live",
        "",
    )


def _watch(node: Running, scene: Scene, seconds: float | None) -> None:
    """A live line on a terminal, a plain one now and then without, until told to stop or `seconds` are over."""
    started_s = node.clock.monotonic_s()
    told_s, told_end = started_s, False
    while True:
        node.wait(LIVE_S)
        now_s = node.clock.monotonic_s()
        if node.stopping.is_set() or (seconds is not None and now_s - started_s >= seconds):
            return
        node.show.progress(scene.words(now_s))
        if scene.is_over and not told_end:
            told_end = True
            node.show.lines("the log has been played to its end; the node goes on until Ctrl-C")
            node.show.event("replayed", **scene.values(now_s))
        if now_s - told_s >= PLAIN_S:
            told_s = now_s
            node.show.event("traffic", **scene.values(now_s))
            if not node.show.out.is_terminal:
                node.show.lines(scene.words(now_s))


def _finish(node: Running, scene: Scene) -> None:
    """Stop the traffic while the node still takes it, and say what became of it."""
    node.show.progress("sending what is on the way")
    counts = scene.producer.stop()
    node.show.progress(None)
    node.show.event("sent", **scene.values(node.clock.monotonic_s()))
    node.show.lines(f"sent {counts.sent:,} lines: {counts.acked:,} acknowledged, {counts.failed:,} not")
    if counts.failed:
        node.show.lines(f"  [red]{counts.problem}[/]")
