"""The views that should be served, and the streams they may read: the shipped views and the files of the views folder, looked at
again and again.

A file that does not compile keeps the last version that did, and its error is shown; a file that is gone takes its view or stream
along. A view over a stream is compiled again whenever any file changes, so it does not matter which of the two came first.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.errors import Invalid, NotFound, ViewError
from tailrace.model.fields import Fields
from tailrace.states.manifest import WantedView
from tailrace.views import CompiledStream, CompiledView, compile_view, shipped_views
from tailrace.views.parse import heading, is_stream
from tailrace.views.stream import Streams, StreamText, Unusable, link_streams, parse_stream_text

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that cannot be used as it stands. `kind`: view or stream, as far as can be told. `name`: of a stream, if it has one."""

    path: str
    message: str
    hint: str
    kind: str = "view"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogState:
    """Compiled views and streams by name, which views are shipped, and the problems by file."""

    views: Mapping[str, CompiledView] = field(default_factory=dict)
    shipped: frozenset[str] = frozenset()
    problems: tuple[FileProblem, ...] = ()
    streams: Mapping[str, CompiledStream] = field(default_factory=dict)

    def wanted(self) -> list[WantedView]:
        return [
            WantedView(name=v.name, version=v.version, sql=v.definition, shipped=v.name in self.shipped)
            for v in self.views.values()
        ]

    def stream(self, name: str) -> CompiledStream:
        """Raises NotFound, or Invalid for one that is there and cannot be read; either says which there are."""
        found = self.streams.get(name.lower())
        if found is not None:
            return found
        for problem in self.problems:
            if problem.name == name.lower():
                raise Invalid(f"stream `{name}` cannot be read: {problem.message}", hint=problem.hint)
        known = ", ".join(sorted(self.streams)) or "none yet: CREATE STREAM ... in a file of the views folder"
        raise NotFound(f"there is no stream `{name}`", hint=f"streams: {known}")


@dataclass(frozen=True, slots=True)
class _ViewText:
    """A file that is no stream: a view, or nothing."""

    sql: str


class Catalog:
    """Remembers files by size and modification time, so that a look costs a folder listing."""

    def __init__(self, views_dir: Path, fields: Fields) -> None:
        self._views_dir = views_dir
        self._fields = fields
        self._shipped = {name: _compile_shipped(name, sql, fields) for name, sql in shipped_views()}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._files: dict[Path, _ViewText | StreamText] = {}
        self._unread: dict[Path, FileProblem] = {}
        self._good: dict[Path, CompiledView] = {}
        self.state = self._combine()

    def look(self) -> bool:
        """Read what has changed; True if the state is another one now."""
        stamps = _stamps(self._views_dir)
        if stamps == self._stamps:
            return False
        for path in self._stamps.keys() - stamps.keys():
            for kept in (self._files, self._unread, self._good):
                kept.pop(path, None)
        for path, stamp in stamps.items():
            if stamp != self._stamps.get(path):
                self._read(path)
        self._stamps = stamps
        before, self.state = self.state, self._combine()
        for problem in self.state.problems:
            if problem not in before.problems:
                LOG.error("file %s cannot be used: %s (%s)", problem.path, problem.message, problem.hint)
        return True

    def _read(self, path: Path) -> None:
        """What the file says by itself. One that says nothing of use leaves what it said before."""
        self._unread.pop(path, None)
        kind = "view"
        try:
            text = path.read_text(encoding="utf-8")
            if is_stream(text):
                kind = "stream"
                self._files[path] = parse_stream_text(text, self._fields)
            else:
                self._files[path] = _ViewText(text)
        except ViewError as error:
            self._unread[path] = FileProblem(path.name, error.message, error.hint, kind, heading(text))
        except (OSError, UnicodeDecodeError) as error:
            hint = "check that the file can be read and is UTF-8"
            self._unread[path] = FileProblem(path.name, str(error), hint, kind)

    def _combine(self) -> CatalogState:
        problems = dict(self._unread)
        owners: dict[str, Path] = {}
        streams = self._streams(owners, problems)
        views = dict(self._shipped)
        for path in sorted(self._files):
            view = self._view(path, streams, problems)
            if view is None:
                continue
            if view.name in owners:
                problems[path] = FileProblem(path.name, _twice("view", view.name, owners), "rename one of them")
                continue
            owners[view.name] = path
            views[view.name] = view
        usable = {name: found for name, found in streams.items() if isinstance(found, CompiledStream)}
        listed = tuple(problems[path] for path in sorted(problems))
        return CatalogState(views, frozenset(self._shipped) - owners.keys(), listed, usable)

    def _streams(self, owners: dict[str, Path], problems: dict[Path, FileProblem]) -> Streams:
        texts: dict[str, StreamText] = {}
        for path in sorted(self._files):
            text = self._files[path]
            if not isinstance(text, StreamText):
                continue
            taken = None
            if text.name in owners:
                taken = _twice("stream", text.name, owners)
            elif text.name in self._shipped:
                taken = f"`{text.name}` is a view that comes with Tailrace"
            if taken is not None:
                problems[path] = FileProblem(path.name, taken, "rename it", "stream")
                continue
            owners[text.name] = path
            texts[text.name] = text
        unread = {p.name: Unusable(p.name, p.message, p.hint) for p in self._unread.values() if p.name}
        streams = link_streams(texts.values(), unread)
        for name, found in streams.items():
            if isinstance(found, Unusable) and name in texts:
                line, column = texts[name].place
                said = ViewError(found.reason, line=line, column=column).message
                problem = FileProblem(owners[name].name, said, found.hint, "stream", name)
                problems.setdefault(owners[name], problem)
        return streams

    def _view(self, path: Path, streams: Streams, problems: dict[Path, FileProblem]) -> CompiledView | None:
        """As the file says, else as it said when it last could be compiled."""
        text = self._files[path]
        if isinstance(text, StreamText):
            self._good.pop(path, None)
            return None
        known = self._good.get(path)
        if known is not None and known.reads == "logs" and known.sql == text.sql.strip():
            return known
        try:
            self._good[path] = compile_view(text.sql, self._fields, streams)
        except Invalid as error:
            problems.setdefault(path, FileProblem(path.name, error.message, error.hint))
        return self._good.get(path)


def _twice(kind: str, name: str, owners: Mapping[str, Path]) -> str:
    return f"{kind} `{name}` is defined in `{owners[name].name}` too"


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
