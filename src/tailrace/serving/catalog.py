"""The views that should be served: the shipped ones and the files of the views folder, looked at again and again.

A file that does not compile keeps the last version that did, and its error is shown; a file that is gone takes its view along.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.errors import Invalid, ViewError
from tailrace.model.fields import Fields
from tailrace.states.manifest import WantedView
from tailrace.views import CompiledView, compile_view, shipped_views

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A view file that cannot be used as it stands."""

    path: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class CatalogState:
    """Compiled views by name, which of them are shipped, and the problems by file."""

    views: Mapping[str, CompiledView] = field(default_factory=dict)
    shipped: frozenset[str] = frozenset()
    problems: tuple[FileProblem, ...] = ()

    def wanted(self) -> list[WantedView]:
        return [
            WantedView(name=v.name, version=v.version, sql=v.sql, shipped=v.name in self.shipped)
            for v in self.views.values()
        ]


class Catalog:
    """Remembers files by size and modification time, so that a look costs a folder listing."""

    def __init__(self, views_dir: Path, fields: Fields) -> None:
        self._views_dir = views_dir
        self._fields = fields
        self._shipped = {name: _compile_shipped(name, sql, fields) for name, sql in shipped_views()}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._good: dict[Path, CompiledView] = {}
        self._problems: dict[Path, FileProblem] = {}
        self.state = self._combine()

    def look(self) -> bool:
        """Read what has changed; True if the state is another one now."""
        stamps = _stamps(self._views_dir)
        if stamps == self._stamps:
            return False
        for path in self._stamps.keys() - stamps.keys():
            self._good.pop(path, None)
            self._problems.pop(path, None)
        for path, stamp in stamps.items():
            if stamp != self._stamps.get(path):
                self._read(path)
        self._stamps = stamps
        before, self.state = self.state, self._combine()
        for problem in self.state.problems:
            if problem not in before.problems:
                LOG.error("view file %s cannot be used: %s (%s)", problem.path, problem.message, problem.hint)
        return True

    def _read(self, path: Path) -> None:
        self._problems.pop(path, None)
        try:
            self._good[path] = compile_view(path.read_text(encoding="utf-8"), self._fields)
        except (Invalid, ViewError) as error:
            self._problems[path] = FileProblem(path.name, error.message, error.hint)
        except (OSError, UnicodeDecodeError) as error:
            self._problems[path] = FileProblem(path.name, str(error), "check that the file can be read and is UTF-8")

    def _combine(self) -> CatalogState:
        views = dict(self._shipped)
        own: dict[str, Path] = {}
        problems = dict(self._problems)
        for path in sorted(self._good):
            view = self._good[path]
            if view.name in own:
                problems[path] = FileProblem(
                    path.name, f"view `{view.name}` is defined in `{own[view.name].name}` too", "rename one of them"
                )
                continue
            own[view.name] = path
            views[view.name] = view
        return CatalogState(views, frozenset(self._shipped) - own.keys(), tuple(problems[p] for p in sorted(problems)))


def _compile_shipped(name: str, sql: str, fields: Fields) -> CompiledView:
    """Raises Invalid where the settings have made another field of one that the view reads."""
    try:
        return compile_view(sql, fields)
    except ViewError as error:
        raise Invalid(
            f"the shipped view `{name}` cannot be computed from the fields of the settings: {error.message}",
            hint="leave the default fields their types, and give yours other names",
        ) from error


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and modification time of each regular `*.sql` file; an absent folder has none."""
    found: dict[Path, tuple[int, int]] = {}
    if folder.is_dir():
        for path in folder.glob("*.sql"):
            try:
                known = path.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(known.st_mode):  # a pipe would be waited for without end
                found[path] = (known.st_size, known.st_mtime_ns)
    return found
