"""The metrics of one process, their text in Prometheus' format, and the sum over several processes.

Thread-safe. Metrics of other processes come as snapshots (`folder` carries them), never through shared memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from threading import Lock

import msgspec

from tailrace.telemetry.metrics import Kind, Metric


class Sample(msgspec.Struct, frozen=True):
    """One series at one moment. `values`: [value], or for a histogram its bucket counts (not summed up), count and sum."""

    name: str
    kind: str
    about: str
    labels: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...]
    values: list[float]


class Registry:
    """Series come into being when they are first touched."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._series: dict[tuple[Metric, tuple[str, ...]], list[float]] = {}

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        with self._lock:
            self._values(metric, labels)[0] += amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        with self._lock:
            self._values(metric, labels)[0] = value

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Count `value` in its bucket of a histogram."""
        with self._lock:
            values = self._values(metric, labels)
            values[bisect_left(metric.bounds, value)] += 1
            values[-2] += 1
            values[-1] += value

    def snapshot(self, *more: tuple[str, str]) -> list[Sample]:
        """All series; `more` labels are put before their own."""
        with self._lock:
            return [
                Sample(
                    m.name, m.kind.value, m.about, (*more, *zip(m.labels, labels, strict=True)), m.bounds, list(values)
                )
                for (m, labels), values in self._series.items()
            ]

    def _values(self, metric: Metric, labels: tuple[str, ...]) -> list[float]:
        values = self._series.get((metric, labels))
        if values is None:
            if len(labels) != len(metric.labels):
                raise ValueError(f"{metric.name} has the labels {metric.labels}, not {labels}")
            size = len(metric.bounds) + 3 if metric.kind is Kind.HISTOGRAM else 1
            values = self._series[metric, labels] = [0.0] * size
        return values


def render(samples: Iterable[Sample]) -> str:
    """Prometheus' text format: families by name, each with its HELP and TYPE once."""
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        families.setdefault(sample.name, []).append(sample)
    lines = []
    for name in sorted(families):
        first = families[name][0]
        lines += [f"# HELP {name} {first.about}", f"# TYPE {name} {first.kind}"]
        for sample in sorted(families[name], key=lambda s: s.labels):
            lines += (
                _histogram(sample) if sample.bounds else [f"{name}{_labels(sample.labels)} {_number(sample.values[0])}"]
            )
    return "\n".join(lines) + "\n" if lines else ""


def _histogram(sample: Sample) -> list[str]:
    lines, total = [], 0.0
    for bound, count in zip((*(f"{b:g}" for b in sample.bounds), "+Inf"), sample.values, strict=False):
        total += count
        lines.append(f"{sample.name}_bucket{_labels((*sample.labels, ('le', bound)))} {_number(total)}")
    lines.append(f"{sample.name}_sum{_labels(sample.labels)} {_number(sample.values[-1])}")
    return [*lines, f"{sample.name}_count{_labels(sample.labels)} {_number(sample.values[-2])}"]


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
