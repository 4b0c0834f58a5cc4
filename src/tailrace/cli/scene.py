"""What plays in the demo: made-up traffic or a real log, and how it goes, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tailrace.model.fields import Fields
from tailrace.producers.replay import Replay, parse_speed
from tailrace.producers.sinks.http import HttpSink
from tailrace.producers.story import posts, story
from tailrace.producers.worker import Producer
from tailrace.runtime.clock import Clock
from tailrace.runtime.ids import unique_id


@dataclass(slots=True)
class Scene:
    """`situation`: what is going on in the traffic at the moment, for people."""

    title: str
    producer: Producer
    situation: Callable[[], str]
    _seen: tuple[float, int] = field(default=(0.0, 0))
    _rate: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether every line was given and has been answered."""
        counts = self.producer.counts()
        return self.producer.ended and counts.sent == counts.acked + counts.failed

    def words(self, now_s: float) -> str:
        """The live line. `now_s`: a monotonic clock, to tell the rate since the line before."""
        counts = self.producer.counts()
        rate = self._rate_now(now_s, counts.acked)
        ack = f"{counts.ack_p50_ms:.0f} ms" if counts.ack_p50_ms is not None else "-"
        parts = [
            f"{rate:,.0f} lines/s",
            f"{counts.acked:,} acknowledged",
            f"{counts.retries:,} retries",
            f"ack p50 {ack}",
        ]
        if counts.failed:
            parts.append(f"[red]{counts.failed:,} failed[/]")
        situation = self.situation()
        return "   ".join([*parts, f"[yellow]{situation}[/]" if situation else ""])

    def values(self, now_s: float) -> dict[str, Any]:
        """The same for programs."""
        counts = self.producer.counts()
        return {
            **asdict(counts),
            "lines_per_s": round(self._rate_now(now_s, counts.acked), 1),
            "situation": self.situation(),
        }

    def _rate_now(self, now_s: float, acked: int) -> float:
        then_s, before = self._seen
        if now_s - then_s >= 1.0:
            self._rate = (acked - before) / (now_s - then_s) if then_s else 0.0
            self._seen = (now_s, acked)
        return self._rate


def made_up(url: str, rate: float, clock: Clock, key: str = "") -> Scene:
    """Steady traffic with incidents, beginning now. `key`: one of the node's, if it has any."""
    start_us = clock.now_us()
    traffic = story(seed=1, rate=rate, start_us=start_us)
    producer = Producer(posts(traffic, unique_id()[:8], clock), _sink(url, "demo", clock, "json", key), clock)

    def situation() -> str:
        active = traffic.timeline.active((clock.now_us() - start_us) / 1e6)
        return "; ".join(event.title for _, event, _ in active)

    return Scene(f"made up, {rate:,.0f} lines a second, something goes wrong every minute or two", producer, situation)


def open_replay(path: Path, speed: str, fields: Fields, *, keep_time: bool) -> Replay:
    """Raises Invalid if the file is no log or the speed no number."""
    stamp = fields.get("timestamp")
    return Replay(path, speed=parse_speed(speed), keep_time=keep_time, key=stamp.key if stamp else "timestamp")


def played(url: str, log: Replay, clock: Clock, key: str = "") -> Scene:
    """A real log, its first line now."""
    sink = _sink(url, "replay", clock, log.format, key)
    return Scene(log.title, Producer(log.posts(clock), sink, clock), lambda: "")


def _sink(url: str, name: str, clock: Clock, format_name: str, key: str) -> HttpSink:
    # Each start numbers its posts anew, so each is an epoch of its own.
    epoch, params = clock.now_us() // 1000, {"format": format_name}
    return HttpSink(url, clock, producer=f"tailrace-{name}", epoch=epoch, params=params, key=key)
