"""The soak: a node under load, killed, split, merged, out of time and out of disk, and every number of it checked.

    python -m tests.soak.run --minutes 10 --rate 5000 --out build/soak

It starts a node on a folder of its own below `--out`, sends lines that follow from a seed, and does to the node what a schedule from
the same seed says: kill -9 of any process or of all, splits and merges, steps of the clock by an hour, a full disk. The load rests
twice so that every view is compared while all of it goes on, and once more at the end, when batch has covered everything.

Writes samples.ndjson, happened.ndjson, acked.ndjson, summary.json, soak.svg. Exit code 1 if any number is wrong or anything
did not come back.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from tailrace.errors import Unavailable
from tailrace.runtime.clock_steps import VARIABLE
from tailrace.runtime.disk import disk_use
from tailrace.testing.load import ack_log
from tailrace.testing.load.check import check_covered, check_ledger, check_records, check_views, is_covered
from tailrace.testing.load.checked_views import SHIPPED, USERS_SQL, users_view
from tailrace.testing.load.expected import expected
from tailrace.testing.load.plan import LoadPlan
from tailrace.testing.load.senders import Senders
from tailrace.testing.node import RunningNode
from tests.soak import picture, samples, summary
from tests.soak.injector import Happened, Injector, clock_file
from tests.soak.schedule import schedule

SAMPLE_S = 3.0
BREATH_S = 60.0
"""So long without the frontier moving, and kills wait for it: a machine on which a start takes longer than the time between two
kills would prove nothing."""
STUCK_S = BREATH_S + 120.0
"""So long without an acknowledgement, or without the frontier moving, and not for a full disk: something is stuck."""
COVERED_S_MAX = 900.0
RETENTION_S = 180
STREAM_LINE_BYTES = 130
"""About what a line of this load takes in the stream."""
SETTINGS = """
[stream]
seal_interval_ms = 2000
file_interval_s = 60
# Longer than a step of the clock, which makes what is remembered look so much older.
dedupe_horizon_s = 3900
[batch]
interval_ms = 2000
[ingest]
disk_percent_max = 1
disk_free_bytes_enough = {free_bytes_least}
[retention]
stream_age_s = {retention_s}
stream_bytes_max = {stream_bytes_max}
"""
ROOM_BYTES = 16 << 30


class Soak:
    """One run. `wrong`: all that was found, a line each."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options = options
        self.console = console
        self.seconds = options.minutes * 60
        self.folder: Path = options.out
        self.plan = LoadPlan(
            options.seed, time.time_ns() // 1_000_000, options.rate, options.senders, users=options.users
        )
        self.views = (*SHIPPED, users_view(options.users))
        self.samples: list[samples.Sample] = []
        self.checks: list[Happened] = []
        self.wrong: list[str] = []
        self.figures: dict[str, object] = {}
        self._began_s = 0.0
        self._said_s = float("-inf")
        self._moved_s = 0.0

    def run(self) -> int:
        node, free_bytes_least = self._prepared()
        faults = schedule(self.options.seed, self.seconds, self.options.kills)
        ack_log.begin(self.folder / "acked.ndjson", self.plan)
        try:
            node.start()
            self._began_s = time.monotonic()
            injector = Injector(node, faults, self.folder, free_bytes_least, self.options.seed)
            with Senders(self.plan, node.port) as senders, injector:
                self._watch(node, senders, injector)
                self._end(node, senders, injector)
            self._finish(injector)
        finally:
            node.kill_all()
        return 1 if self.wrong else 0

    def _prepared(self) -> tuple[RunningNode, int]:
        """The node, not yet started, and how many bytes must be free for it to take posts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("node", "views"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("samples.ndjson", "happened.ndjson", "clock-steps", "ballast", "node.log"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "views").mkdir()
        (self.folder / "views" / "users.sql").write_text(USERS_SQL)
        free = disk_use(self.folder).free
        free_bytes_least = free - min(ROOM_BYTES, free // 2)
        config = self.folder / "tailrace.toml"
        config.write_text(
            SETTINGS.format(
                free_bytes_least=free_bytes_least,
                retention_s=RETENTION_S,
                stream_bytes_max=RETENTION_S * self.options.rate * STREAM_LINE_BYTES,
            )
        )
        env = {VARIABLE: str(clock_file(self.folder))}
        return RunningNode(
            self.folder / "node", config=config, port=self.options.port or None, env=env
        ), free_bytes_least

    # -- while it runs -------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _watch(self, node: RunningNode, senders: Senders, injector: Injector) -> None:
        """Until the time is over and all of the schedule has happened, or something is wrong."""
        checks = [self.seconds * (place + 1) / (self.options.checks + 1) for place in range(self.options.checks)]
        while (self._now_s() < self.seconds or not injector.is_done) and not self.wrong:
            self._sample(node, senders)
            injector.breathe(still=self._now_s() - self._moved_s > BREATH_S)
            self.wrong += [*senders.complaints(), *self._stuck(injector)]
            self._say(senders, injector)
            if checks and self._now_s() >= checks[0]:
                checks.pop(0)
                self._check_at_rest(node, senders, injector)
            time.sleep(max(0.05, SAMPLE_S - (self._now_s() - self.samples[-1].at_s)))

    def _sample(self, node: RunningNode, senders: Senders) -> None:
        found = samples.take(node, self._now_s(), senders.acked().posts)
        known = next((each.epochs for each in reversed(self.samples) if each.epochs is not None), None)
        if found.epochs is not None and found.epochs != known:
            self._moved_s = found.at_s
        self.samples.append(found)
        samples.append(self.folder / "samples.ndjson", found)
        ack_log.note(self.folder / "acked.ndjson", found.posts)

    def _stuck(self, injector: Injector) -> list[str]:
        """Whether nothing has been acknowledged, or the frontier has not moved, for too long."""
        now = self.samples[-1]
        quiet = [each.until_s for each in (*injector.happened, *self.checks) if each.kind in ("disk", "check")]
        since_s = now.at_s - STUCK_S
        if since_s < max(quiet, default=0.0) or any(
            f.kind == "disk" and abs(f.at_s - now.at_s) < STUCK_S for f in injector.faults
        ):
            return []
        before = next(
            sample for sample in reversed(self.samples) if sample.at_s <= since_s or sample is self.samples[0]
        )
        found = []
        if before.posts == now.posts:
            found.append(f"nothing was acknowledged from {before.at_s:.0f} s to {now.at_s:.0f} s")
        if before.epochs is not None and now.epochs is not None and before.epochs == now.epochs:
            found.append(f"the frontier did not move from {before.at_s:.0f} s to {now.at_s:.0f} s")
        return found

    def _say(self, senders: Senders, injector: Injector) -> None:
        """The live line; a line every half a minute where there is no terminal."""
        now = self.samples[-1]
        kinds = [each.kind for each in injector.happened]
        words = (
            f"{now.at_s:5.0f} of {self.seconds:.0f} s  {sum(now.posts) * self.plan.lines_per_post:,} lines acknowledged  "
            f"lag speed {_number(now.speed_lag)} batch {_number(now.batch_lag)}  {sum(now.memory.values()) >> 20} MiB  "
            f"disk {sum(now.disk.values()) >> 20} MiB  {kinds.count('kill')} kills  "
            f"{kinds.count('split')} splits  {kinds.count('merge')} merges  {len(self.wrong)} wrong"
        )
        if self.console.is_terminal:
            self.console.print(words, end="\r", soft_wrap=True, highlight=False)
        elif now.at_s - self._said_s >= 30:
            self._said_s = now.at_s
            self.console.print(words, soft_wrap=True, highlight=False)

    def _check_at_rest(self, node: RunningNode, senders: Senders, injector: Injector) -> None:
        """No post and no fault under way: the views must be right now, wherever the frontier is."""
        with injector.held:
            began_s = self._now_s()
            senders.rest()
            acked = senders.acked()
            ack_log.note(self.folder / "acked.ndjson", acked.posts)
            self.console.print(f"{began_s:5.0f} s  checking every row", highlight=False)
            self.wrong += _told(lambda: self._compare(node, senders))
            senders.go_on()
            self.checks.append(Happened(began_s, "check", "", self._now_s()))

    def _compare(self, node: RunningNode, senders: Senders) -> list[str]:
        node.wait_ready()
        must = expected(senders.acked(), self.views)
        wrong = check_views(node, self.views, must) + check_records(node, must)
        return wrong + check_ledger(node.pipeline(), must, senders.counts())

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self, node: RunningNode, senders: Senders, injector: Injector) -> None:
        """All is acknowledged, batch covers all, and every number is compared; then the node ends as it should."""
        injector.stop()
        self.wrong += injector.problems
        self.wrong += _told(lambda: senders.stop() or [])
        self.wrong += senders.complaints()
        ended_s = self._now_s()
        self._sample(node, senders)
        self.console.print(f"{ended_s:5.0f} s  waiting for batch", highlight=False)
        self.wrong += _told(lambda: self._wait_covered(node, senders))
        self.figures["covered_after_s"] = round(self._now_s() - ended_s, 1)
        began_s = self._now_s()
        self.wrong += _told(lambda: self._compare(node, senders) + check_covered(node.pipeline()))
        self.checks.append(Happened(began_s, "check", "", self._now_s()))
        self.figures |= summary.load_figures(senders, ended_s)
        self.wrong += _told(lambda: summary.ended_well(node))
        self.figures["logged_errors"] = summary.logged(node)

    def _wait_covered(self, node: RunningNode, senders: Senders) -> list[str]:
        node.wait_ready()
        deadline_s = time.monotonic() + COVERED_S_MAX
        while not is_covered(node.pipeline()):
            if time.monotonic() > deadline_s:
                return [f"batch has not covered everything after {COVERED_S_MAX:.0f} s: {node.pipeline()['shards']}"]
            time.sleep(1)
            self._sample(node, senders)
        return []

    def _finish(self, injector: Injector) -> None:
        happened = sorted([*injector.happened, *self.checks], key=lambda each: each.at_s)
        (self.folder / "happened.ndjson").write_text("".join(json.dumps(asdict(each)) + "\n" for each in happened))
        found = summary.figures(self.options, self.samples, happened, self.wrong) | self.figures
        (self.folder / "summary.json").write_text(json.dumps(found, indent=2) + "\n")
        title = (
            f"Soak: {self.options.minutes:g} minutes, {self.options.rate:,} lines a second, seed {self.options.seed}"
        )
        drawn = picture.draw(
            title, picture.panels(self.samples, self.plan.lines_per_post), happened, self.samples[-1].at_s
        )
        (self.folder / "soak.svg").write_text(drawn)
        if self.options.json:
            print(json.dumps(found, indent=2))
        else:
            self.console.print(summary.text(found), highlight=False, soft_wrap=True)


def _told(attempt: Callable[[], list[str]]) -> list[str]:
    """What it found, or why it could not."""
    try:
        return attempt()
    except (Unavailable, OSError) as error:
        return [str(error)]


def _number(lines: int | None) -> str:
    return "-" if lines is None else f"{lines:,}"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long lines are sent (60)")
    parser.add_argument("--kills", type=int, help="kill -9, spread evenly (five a minute)")
    parser.add_argument("--rate", type=int, default=5000, help="lines a second of all senders (5000)")
    parser.add_argument("--users", type=int, default=1_000_000, help="keys an hour of the view `users` (1000000)")
    parser.add_argument("--senders", type=int, default=4, help="processes that send (4)")
    parser.add_argument("--checks", type=int, default=2, help="checks of all numbers before the end (2)")
    parser.add_argument("--seed", type=int, default=7, help="of the lines and of what is done to the node (7)")
    parser.add_argument("--port", type=int, default=0, help="of the node (a free one)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/soak"), help="folder for the node and the results (build/soak)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    options = parser.parse_args(words)
    for name, low, high in (("rate", 1, 10**6), ("users", 1, 2_000_000), ("senders", 1, 64), ("checks", 0, 100)):
        if not low <= getattr(options, name) <= high:
            parser.error(f"--{name} is from {low} to {high}")
    if options.minutes <= 0 or (options.kills or 0) < 0:
        parser.error("--minutes is above 0, --kills is 0 or more")
    options.kills = round(options.minutes * 5) if options.kills is None else options.kills
    options.out = options.out.absolute()
    return options


def main() -> int:
    options = arguments()
    return Soak(options, Console(stderr=options.json)).run()


if __name__ == "__main__":
    sys.exit(main())
