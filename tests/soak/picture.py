"""Lag, memory and disk over time as one SVG, with what was done to the node marked. Written by hand: text, lines, no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from tests.soak.injector import Happened
from tests.soak.samples import FOLDERS, OTHER, Sample

WIDTH, LEFT, RIGHT = 1000, 84, 168
TOP, PANEL, GAP, BOTTOM = 78, 132, 44, 40
COLOURS = ("#1f6f8b", "#d1662a", "#5a8f3c", "#8a5aa8", "#b8860b", "#777777")
INK, FAINT, GRID = "#222222", "#666666", "#e4e4e4"
MIB = 1 << 20
_STEPS = (1, 2, 5)
_TIMES_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800)
Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """`points`: (seconds, value); a value of None is a gap."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    lines: Sequence[Line]


def panels(samples: Sequence[Sample], lines_per_post: int) -> list[Panel]:
    """Rate, lag, memory and disk."""
    times = [sample.at_s for sample in samples]
    roles = sorted({role for sample in samples for role in sample.memory})
    return [
        Panel("acknowledged lines a second", [Line("rate", _rates(samples, lines_per_post))]),
        Panel(
            "lag, lines",
            [
                Line("batch", list(zip(times, [s.batch_lag for s in samples], strict=True))),
                Line("speed", list(zip(times, [s.speed_lag for s in samples], strict=True))),
            ],
        ),
        Panel(
            "memory, MiB (PSS of all processes of a role)",
            [Line(role, [(s.at_s, _mib(s.memory.get(role))) for s in samples]) for role in roles],
        ),
        Panel(
            "disk, MiB",
            [Line(name, [(s.at_s, _mib(s.disk.get(name))) for s in samples]) for name in (*FOLDERS, OTHER)],
        ),
    ]


def _mib(size: int | None) -> float | None:
    return None if size is None else size / MIB


def _rates(samples: Sequence[Sample], lines_per_post: int) -> list[Point]:
    return [
        (after.at_s, (sum(after.posts) - sum(before.posts)) * lines_per_post / max(after.at_s - before.at_s, 0.001))
        for before, after in pairwise(samples)
    ]


def draw(title: str, found: Sequence[Panel], happened: Sequence[Happened], seconds: float) -> str:
    """The picture as text."""
    height = TOP + len(found) * (PANEL + GAP) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(LEFT, 22, title, size=15),
        *_legend(happened),
        *_faults(happened, seconds, height - BOTTOM - GAP // 2),
    ]
    for place, panel in enumerate(found):
        parts += _panel(panel, TOP + GAP // 2 + place * (PANEL + GAP), seconds)
    parts += _time_axis(seconds, height - BOTTOM - GAP // 2 + 16)
    return "\n".join([*parts, "</svg>", ""])


def _x(at_s: float, seconds: float) -> float:
    return LEFT + min(max(at_s / seconds, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, words: str, *, size: int = 12, colour: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def _panel(panel: Panel, top: float, seconds: float) -> list[str]:
    most = max((value for line in panel.lines for _, value in line.points if value is not None), default=0.0)
    step = nice_step(most)
    limit = max(step, math.ceil(most / step) * step)

    def y(value: float) -> float:
        return top + PANEL - value / limit * PANEL

    parts = [_text(LEFT, top - 8, panel.title, colour=FAINT)]
    for place in range(round(limit / step) + 1):
        at = y(place * step)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GRID}"/>')
        parts.append(_text(LEFT - 8, at + 4, f"{place * step:,.0f}", colour=FAINT, anchor="end"))
    labels = []
    for place, line in enumerate(panel.lines):
        colour = COLOURS[place % len(COLOURS)]
        for stretch in _stretches(line.points):
            points = " ".join(f"{_x(at_s, seconds):.1f},{y(value):.1f}" for at_s, value in stretch)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        last = next((value for _, value in reversed(line.points) if value is not None), 0.0)
        labels.append((y(last), line.name, colour, last))
    return parts + _labels(labels, top)


def _labels(labels: Sequence[tuple[float, str, str, float]], top: float) -> list[str]:
    """The name and the last value of each line beside its end, moved apart where they would cover each other."""
    parts, floor = [], top - 4.0
    ordered = sorted(labels)
    room = top + PANEL + 6 - 15 * (len(ordered) - 1)
    for place, (wanted, name, colour, last) in enumerate(ordered):
        at = max(min(wanted, room + 15 * place), floor)
        floor = at + 15
        parts.append(_text(WIDTH - RIGHT + 10, at + 4, f"{name}  {last:,.0f}", colour=colour))
    return parts


def _stretches(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """Runs without a gap."""
    found: list[list[tuple[float, float]]] = [[]]
    for at_s, value in points:
        if value is not None:
            found[-1].append((at_s, value))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def nice_step(most: float) -> float:
    """1, 2 or 5 times a power of ten, so that at most five of them are needed; at least 1."""
    power = 1.0
    while True:
        for step in _STEPS:
            if most / (step * power) <= 5:
                return step * power
        power *= 10


_MARKS = {
    "kill": ("#c0392b", "kill -9"),
    "split": ("#5a8f3c", "split"),
    "merge": ("#8a5aa8", "merge"),
    "clock": ("#1f6f8b", "clock step"),
    "disk": ("#b8860b", "disk full"),
    "check": ("#444444", "all numbers checked"),
}


def _legend(happened: Sequence[Happened]) -> list[str]:
    parts, x = [], float(LEFT)
    for kind, (colour, words) in _MARKS.items():
        count = sum(each.kind == kind for each in happened)
        if count:
            label = f"{words} ({count})"
            parts.append(f'<rect x="{x:.1f}" y="33" width="10" height="10" fill="{colour}"/>')
            parts.append(_text(x + 15, 42, label, colour=FAINT))
            x += 32 + 6.6 * len(label)
    return parts


def _faults(happened: Sequence[Happened], seconds: float, bottom: float) -> list[str]:
    """Kills, splits and merges as ticks above the panels; what changes the whole node as a band or line through all of them."""
    parts = []
    for each in (each for each in happened if each.kind in _MARKS):
        colour, x = _MARKS[each.kind][0], _x(each.at_s, seconds)
        if each.kind in ("disk", "check"):
            width = max(_x(each.until_s, seconds) - x, 1.5)
            parts.append(
                f'<rect x="{x:.1f}" y="{TOP - 22}" width="{width:.1f}" height="{bottom - TOP + 22:.1f}" '
                f'fill="{colour}" opacity="0.18"/>'
            )
        elif each.kind == "clock":
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 22}" y2="{bottom:.1f}" stroke="{colour}" stroke-dasharray="4 3"/>'
            )
            parts.append(_text(x + 4, TOP - 12, each.what, size=11, colour=colour))
        else:
            at = TOP - 8 if each.kind == "kill" else TOP - 1
            parts.append(f'<rect x="{x - 0.7:.1f}" y="{at}" width="1.4" height="6" fill="{colour}"/>')
    return parts


def _time_axis(seconds: float, y: float) -> list[str]:
    step = next((each for each in _TIMES_S if seconds / each <= 12), 3600)
    parts = []
    for place in range(int(seconds // step) + 1):
        at_s = place * step
        words = f"{at_s // 60} min" if step >= 60 else f"{at_s} s"
        parts.append(_text(_x(at_s, seconds), y + 4, words, colour=FAINT, anchor="middle"))
    return parts
