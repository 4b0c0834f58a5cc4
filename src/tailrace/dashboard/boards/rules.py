"""What must hold in a dashboard besides the types of its members: times, names used once, places on the grid, arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tailrace.dashboard.boards.expression import parse_field
from tailrace.dashboard.boards.model import (
    GRID_COLUMNS,
    Absolute,
    Dashboard,
    Panel,
    Relative,
    Time,
    Variable,
    ViewData,
)
from tailrace.errors import Invalid, TailraceError
from tailrace.model.window import duration_us, parse_iso

Problem = tuple[str, TailraceError]
"""A path such as `panels[2].data.view`, and what is wrong there."""
UIDS_TAKEN = ("schema",)
BUILTIN_VARIABLES = ("from", "to")


def problems(board: Dashboard) -> Iterator[Problem]:
    if board.uid in UIDS_TAKEN:
        yield (
            "uid",
            Invalid(f"`{board.uid}` is taken", hint="choose another name; /v1/dashboards has that one for itself"),
        )
    yield from _of_time(board.time)
    yield from _of_duration("compare", board.compare)
    yield from _twice("variables", "name", [variable.name for variable in board.variables])
    yield from _twice("panels", "id", [panel.id for panel in board.panels])
    for at, variable in enumerate(board.variables):
        yield from _of_variable(f"variables[{at}]", variable)
    for at, panel in enumerate(board.panels):
        yield from _of_panel(f"panels[{at}]", panel)


def _of_time(time: Time) -> Iterator[Problem]:
    if isinstance(time, Relative):
        yield from _of_duration("time.over", time.over)
    elif isinstance(time, Absolute):
        wrong = [
            *_failing("time.from", lambda: parse_iso(time.from_)),
            *_failing("time.to", lambda: parse_iso(time.to)),
        ]
        yield from wrong
        if not wrong and parse_iso(time.from_) >= parse_iso(time.to):
            yield "time.to", Invalid(f"`{time.to}` is not after `{time.from_}`", hint="write a later instant")


def _of_duration(path: str, text: str | None) -> Iterator[Problem]:
    """The pattern has been seen to; this is about its size."""
    if text is None or text == "auto":
        return
    wrong = list(_failing(path, lambda: duration_us(text)))
    yield from wrong
    if not wrong and duration_us(text) == 0:
        yield path, Invalid(f"`{text}` is no time at all", hint="write for example 10s, 15m or 1d")


def _twice(path: str, member: str, names: list[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            last = len(names) - 1 - names[::-1].index(name)
            yield f"{path}[{last}].{member}", Invalid(f"`{name}` is there more than once", hint="give each its own")


def _of_variable(path: str, variable: Variable) -> Iterator[Problem]:
    if variable.name in BUILTIN_VARIABLES:
        hint = "choose another name; these two are the time range"
        yield f"{path}.name", Invalid(f"`{variable.name}` is taken", hint=hint)
    if (variable.view is None) != (variable.field is None):
        missing = "view" if variable.view is None else "field"
        hint = "write both: the view, and its column whose values are offered"
        yield f"{path}.{missing}", Invalid(f"`{missing}` is missing", hint=hint)
    elif variable.view is not None and variable.values:
        yield f"{path}.values", Invalid("there are `values` and a `view`", hint="leave one of them out")
    if len(variable.default) > 1 and not variable.multi:
        hint = "leave one, or set multi to true"
        yield f"{path}.default", Invalid("more than one value, and `multi` is false", hint=hint)


def _of_panel(path: str, panel: Panel) -> Iterator[Problem]:
    place = panel.place
    if place.x + place.w > GRID_COLUMNS:
        hint = f"x + w can be {GRID_COLUMNS} at most"
        yield f"{path}.place.w", Invalid(f"`{place.x}` + `{place.w}` leaves the grid", hint=hint)
    low, high = panel.options.min, panel.options.max
    if low is not None and high is not None and low >= high:
        yield f"{path}.options.max", Invalid(f"`{high:g}` is not above `{low:g}`", hint="min must be below max")
    if isinstance(panel.data, ViewData):
        yield from _of_duration(f"{path}.data.step", panel.data.step)
        yield from _of_duration(f"{path}.data.over", panel.data.over)
        for at, text in enumerate(panel.data.fields):
            yield from _failing(f"{path}.data.fields[{at}]", partial(parse_field, text))


def _failing(path: str, read: Callable[[], Any]) -> Iterator[Problem]:
    try:
        read()
    except TailraceError as error:
        yield path, error
