"""Two profiles side by side as one SVG: the mix, response times, the hours of a day. Written by hand: text, lines, no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from tailrace.producers.profile.compare import Comparison, Side

WIDTH, LEFT, RIGHT, TOP = 960, 150, 30, 66
BAR, GAP, PLOT, TITLE = 9, 8, 190, 34
ENDPOINTS_MAX = 12
COLOURS = ("#1f6f8b", "#d1662a")
INK, FAINT, GRID = "#222222", "#666666", "#e4e4e4"
_FONT = "font-family='system-ui, sans-serif'"


def picture(one: Side, other: Side, found: Comparison) -> str:
    """SVG text."""
    mixes = [
        dict(zip((e.path for e in s.profile.endpoints), s.profile.mix().tolist(), strict=True)) for s in (one, other)
    ]
    ranked = sorted(mixes[0].keys() | mixes[1].keys(), key=lambda path: -mixes[0].get(path, 0) - mixes[1].get(path, 0))
    parts = [_text(20, 26, "How alike", 18, INK), *_legend((one.name, other.name))]
    y = TOP
    parts += _heading(y, f"Requests by endpoint: total variation {found.mix:.3f}")
    y, bars = _bars(y + TITLE, ranked[:ENDPOINTS_MAX], mixes)
    parts += bars
    distance = "-" if found.times is None else f"{found.times:.3f}"
    parts += _heading(y + GAP, f"Response times, share of requests below: Kolmogorov-Smirnov {distance}")
    parts += _distributions(y + GAP + TITLE, [_pool(side, mix) for side, mix in zip((one, other), mixes, strict=True)])
    y += GAP + TITLE + PLOT + 40
    parts += _heading(y, f"Requests by hour (UTC): total variation {found.hours:.3f}")
    parts += _hours(y + TITLE, [side.profile.arrivals.hours for side in (one, other)])
    height = y + TITLE + PLOT // 2 + 40
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'>"
        f"<rect width='100%' height='100%' fill='white'/>{''.join(parts)}</svg>\n"
    )


def _text(x: float, y: float, text: str, size: int = 12, colour: str = FAINT, anchor: str = "start") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' {_FONT}>{escape(text)}</text>"


def _legend(names: Sequence[str]) -> list[str]:
    found, x = [], LEFT
    for name, colour in zip(names, COLOURS, strict=True):
        found += [f"<rect x='{x}' y='38' width='12' height='12' fill='{colour}'/>", _text(x + 18, 48, name[:40])]
        x += 40 + 7 * min(len(name), 40)
    return found


def _heading(y: float, text: str) -> list[str]:
    return [_text(20, y + 20, text, 13, INK)]


def _bars(y: int, paths: Sequence[str], mixes: Sequence[dict[str, float]]) -> tuple[int, list[str]]:
    """(where it ends, the marks)."""
    most = max((mix.get(path, 0.0) for mix in mixes for path in paths), default=1.0) or 1.0
    room, found = WIDTH - LEFT - RIGHT - 60, []
    for path in paths:
        shown = path if len(path) <= 20 else "..." + path[-17:]
        found.append(_text(LEFT - 8, y + BAR + 4, shown, 12, INK, "end"))
        for mix, colour in zip(mixes, COLOURS, strict=True):
            share = mix.get(path, 0.0)
            found.append(f"<rect x='{LEFT}' y='{y}' width='{room * share / most:.1f}' height='{BAR}' fill='{colour}'/>")
            found.append(_text(LEFT + room * share / most + 5, y + BAR, f"{share:.1%}", 10))
            y += BAR + 1
        y += GAP
    return y, found


def _pool(side: Side, mix: dict[str, float]) -> Any:
    parts = [
        np.quantile(side.times[path], (np.arange(round(share * 5000)) + 0.5) / round(share * 5000))
        for path, share in mix.items()
        if round(share * 5000) and len(side.times.get(path, ())) > 1
    ]
    return np.sort(np.concatenate(parts)) if parts else np.array([])


def _distributions(y: int, samples: Sequence[Any]) -> list[str]:
    known = [sample for sample in samples if len(sample)]
    if not known:
        return [_text(LEFT, y + 20, "neither has response times")]
    low = float(np.log10(max(min(np.quantile(s, 0.001) for s in known), 0.01)))
    high = max(float(np.log10(max(np.quantile(s, 0.9995) for s in known))), low + 0.1)
    room = WIDTH - LEFT - RIGHT

    def x(logs: Any) -> Any:
        return LEFT + room * (np.clip(logs, low, high) - low) / (high - low)

    found = []
    for share in (0, 0.25, 0.5, 0.75, 1.0):
        at = y + PLOT * (1 - share)
        found.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at}' y2='{at}' stroke='{GRID}'/>")
        found.append(_text(LEFT - 8, at + 4, f"{share:.0%}", 11, FAINT, "end"))
    powers = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    found += [_text(float(x(power)), y + PLOT + 16, f"{10.0**power:g} ms", 11, FAINT, "middle") for power in powers]
    for sample, colour in zip(samples, COLOURS, strict=True):
        if not len(sample):
            continue
        shares = np.linspace(0, 1, 240)
        points = zip(x(np.log10(np.maximum(np.quantile(sample, shares), 1e-3))), y + PLOT * (1 - shares), strict=True)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        found.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>")
    return found


def _hours(y: int, rates: Sequence[Sequence[float]]) -> list[str]:
    height, most = PLOT // 2, max(max(each) for each in rates) or 1.0
    step, found = (WIDTH - LEFT - RIGHT) / 24, []
    for hour in range(24):
        x = LEFT + hour * step
        if hour % 3 == 0:
            found.append(_text(x + step / 2, y + height + 16, f"{hour:02d}", 11, FAINT, "middle"))
        for n, (each, colour) in enumerate(zip(rates, COLOURS, strict=True)):
            tall = height * each[hour] / most
            found.append(
                f"<rect x='{x + 3 + n * (step - 6) / 2:.1f}' y='{y + height - tall:.1f}' width='{(step - 8) / 2:.1f}' "
                f"height='{tall:.1f}' fill='{colour}'/>"
            )
    return found
