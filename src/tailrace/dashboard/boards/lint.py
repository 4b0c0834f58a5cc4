"""What a dashboard names that is not there: no mistake of the file, since views come and go, but worth to be told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tailrace.dashboard.boards.expression import parse_field
from tailrace.dashboard.boards.model import Dashboard, Panel, SqlData, ViewData
from tailrace.dashboard.boards.rules import BUILTIN_VARIABLES

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*")
_VARIABLE = re.compile(r"\$([a-z_][a-z0-9_]*)")
_WITHOUT_DATA = ("text", "logs")


@dataclass(frozen=True, slots=True)
class ViewNames:
    """The columns of a view, the window's left out."""

    keys: tuple[str, ...]
    numbers: tuple[str, ...]


def warnings(board: Dashboard, views: Mapping[str, ViewNames]) -> list[tuple[str, str]]:
    """(path, what is wrong), in the order of the file. `views`: those that there are, by name."""
    return [*_of_variables(board, views), *_of_panels(board, views)]


def _of_variables(board: Dashboard, views: Mapping[str, ViewNames]) -> Iterator[tuple[str, str]]:
    for at, variable in enumerate(board.variables):
        if variable.view is None or variable.field is None:
            continue
        if variable.view not in views:
            yield f"variables[{at}].view", _absent("view", variable.view, views)
        elif variable.field not in views[variable.view].keys:
            yield f"variables[{at}].field", _absent("key", variable.field, views[variable.view].keys)


def _of_panels(board: Dashboard, views: Mapping[str, ViewNames]) -> Iterator[tuple[str, str]]:
    known = {variable.name for variable in board.variables}
    for at, panel in enumerate(board.panels):
        path = f"panels[{at}].data"
        match panel.data:
            case ViewData() as data:
                yield from _of_view(path, data, views)
                yield from _of_text(f"{path}.where", data.where or "", known)
            case SqlData() as data:
                yield from _of_text(f"{path}.sql", data.sql, known | set(BUILTIN_VARIABLES))
            case _ if panel.kind not in _WITHOUT_DATA:
                yield path, f"a {panel.kind} without data stays empty"
        yield from _of_options(at, panel)


def _of_view(path: str, data: ViewData, views: Mapping[str, ViewNames]) -> Iterator[tuple[str, str]]:
    view = views.get(data.view)
    if view is None:
        yield f"{path}.view", _absent("view", data.view, views)
        return
    fields = [parse_field(text) for text in data.fields]
    if not fields:
        yield f"{path}.fields", f"no field is shown; there are: {', '.join(view.numbers)}"
    for at, field in enumerate(fields):
        for column in field.columns:
            if column not in view.numbers and column not in view.keys:
                yield f"{path}.fields[{at}]", _absent("column", column, (*view.numbers, *view.keys))
    if data.by is not None and data.by not in view.keys:
        yield f"{path}.by", _absent("key", data.by, view.keys)
    if data.order is not None:
        order = (*view.numbers, *view.keys, *(field.name for field in fields if field.name))
        if data.order not in order:
            yield f"{path}.order", _absent("column", data.order, order)


def _of_text(path: str, text: str, known: set[str]) -> Iterator[tuple[str, str]]:
    for name in _VARIABLE.findall(_QUOTED.sub("''", text)):
        if name not in known:
            yield path, _absent("variable", name, sorted(known))


def _of_options(at: int, panel: Panel) -> Iterator[tuple[str, str]]:
    if panel.kind == "text" and not panel.options.text.strip():
        yield f"panels[{at}].options.text", "a text without words stays empty"


def _absent(kind: str, name: str, known: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    meant = f"; did you mean `{close[0]}`?" if close else f"; there are: {', '.join(known) or 'none'}"
    return f"there is no {kind} `{name}`{meant}"
