"""Views as files: those shipped in the package, and those of a folder. One file is one view; no file can spoil another."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tailrace.errors import ViewError
from tailrace.model.fields import Fields
from tailrace.views.parse import TEXT_MAX, heading, is_stream, parse_view
from tailrace.views.stream import StreamText, Unusable, parse_stream_text


def shipped_views() -> list[tuple[str, str]]:
    """(name, SQL) of the views that come with Tailrace, by name."""
    folder = resources.files("tailrace.views").joinpath("shipped")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(f.name.removesuffix(".sql"), f.read_text(encoding="utf-8")) for f in files]


def load_folder(path: Path | str) -> list[tuple[Path, str | None, str]]:
    """(file, view's name, text) of each `*.sql` file in the folder, by file name; an absent folder has none.

    The name is None where the text is not a view at all; `compile_view` of the text then says why. A file that cannot be read has
    an empty text.
    """
    folder = Path(path)
    if not folder.is_dir():
        return []
    return [_load(file) for file in sorted(folder.glob("*.sql"))]


def _load(file: Path) -> tuple[Path, str | None, str]:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(TEXT_MAX + 1)
    except OSError:
        return file, None, ""
    try:
        name, _, _ = parse_view(text)
    except ViewError:
        return file, None, text
    return file, name, text


def streams_beside(file: Path, fields: Fields) -> tuple[list[StreamText], dict[str, Unusable]]:
    """The streams of the other files of its folder, and those that cannot be parsed: what `link_streams` takes."""
    texts: list[StreamText] = []
    unread: dict[str, Unusable] = {}
    for other in sorted(file.parent.glob("*.sql")):
        text = _load(other)[2]
        if other.name == file.name or not is_stream(text):
            continue
        try:
            texts.append(parse_stream_text(text, fields))
        except ViewError as error:
            if name := heading(text):
                unread[name] = Unusable(name, error.message, error.hint)
    return texts, unread
