"""Lines a second that the node holds through to the views, for minutes, and whether its lag stays flat."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tailrace.bench.bench_node import Loader, LoadReport, fresh_node, visible_lines, wait_covered
from tailrace.bench.processes import PeakMemory, cpu_by_role, difference, pss_bytes

WARM_SHARE = 1 / 3
"""The slope of the lag is taken over what follows the first third."""
KEYS_VIEW = """CREATE VIEW requests_by_trace AS
SELECT time_bucket(INTERVAL '1 hour', timestamp) AS window_start, trace_id,
       count(*) AS requests, avg(response_ms) AS response_ms_avg, max(response_ms) AS response_ms_max
FROM logs
GROUP BY ALL;
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the node, `at_s` seconds after the first post. `speed_lag`, `batch_lag`: lines over all shards."""

    at_s: float
    visible: int
    speed_lag: int
    batch_lag: int
    segments: int
    pss_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """One run. `lines_per_s`: counted in the view between the first and the last sample under load."""

    load: LoadReport
    samples: list[Sample]
    lines_per_s: float
    speed_lag_slope: float
    batch_lag_slope: float
    pss_slope: float
    cpu_s: dict[str, float]
    covered_after_s: float
    peak_pss_bytes: dict[str, int]


def measure(
    seconds: float, connections: int, rate: float, parent: Path | None, every_s: float = 2.0, keys: int = 0
) -> Held:
    """Load a fresh node for `seconds`, at `rate` lines a second (0: as fast as it answers).

    `keys`: one view more, of so many keys an hour.
    """
    with (
        fresh_node(parent, views={"requests_by_trace": KEYS_VIEW} if keys else None) as node,
        Loader(node.port, seconds=seconds, connections=connections, rate=rate, ids=keys) as loader,
    ):
        before = cpu_by_role(node.pid)
        samples: list[Sample] = []
        with PeakMemory(node.pid) as memory:
            started_s = time.monotonic()
            loader.begin()
            while time.monotonic() - started_s < seconds - every_s / 2:
                time.sleep(every_s)
                visible, at_s = visible_lines(node), time.monotonic() - started_s
                state = node.pipeline()
                samples.append(
                    Sample(
                        at_s,
                        visible,
                        sum(shard["speed_lag_lines"] for shard in state["shards"]),
                        sum(shard["batch_lag_lines"] for shard in state["shards"]),
                        sum(view["segments"] for view in state["views"]),
                        sum(pss_bytes(node.pid).values()),
                    )
                )
            load = loader.report()
            acked_s = time.monotonic()
            covered_after_s = wait_covered(node, load.lines) - acked_s
            after = cpu_by_role(node.pid)
        steady = samples[int(len(samples) * WARM_SHARE) :]
        span_s = samples[-1].at_s - samples[0].at_s
        return Held(
            load=load,
            samples=samples,
            lines_per_s=(samples[-1].visible - samples[0].visible) / span_s,
            speed_lag_slope=slope([(s.at_s, s.speed_lag) for s in steady]),
            batch_lag_slope=slope([(s.at_s, s.batch_lag) for s in steady]),
            pss_slope=slope([(s.at_s, s.pss_bytes) for s in steady]),
            cpu_s=difference(after, before),
            covered_after_s=covered_after_s,
            peak_pss_bytes=memory.peak,
        )


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares: units of y a unit of x; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
