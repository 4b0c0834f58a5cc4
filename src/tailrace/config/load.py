"""Read `tailrace.toml` into Settings, and say exactly what is wrong where it cannot be used.

Called once by the command line; the processes that it starts get the finished values (`handed_on.py`), so that a file edited
under a running node changes nothing by halves. Relative folders in the file count from the file's own folder.

    data_dir = "tailrace-data"        [stream] [ingest] [speed] [batch] [retention] [query] [kinesis] [access]   as settings.py names them
    views_dir = "views"               [[fields]]   name, type, source, scale, unit, zone: a new field, or a default one changed
    dashboards_dir, searches_dir      [[formats]]  name, pattern, groups, absent, multiline: a way of reading lines
    alerts_dir = "alerts"             rules and channels, watched; without it `alerts` in the data folder
    listen = "127.0.0.1:8080"         [[formats]]  name, pattern, groups, absent, multiline: a way of reading lines
    [tls]  listen, certificate, key   [[endpoint_rules]]  match and template, or builtin: one endpoint of many paths
                                      [[keys]]  id, secret, scopes, streams: who may use the node
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from tailrace.config.endpoint_rules import read_endpoint_rules
from tailrace.config.fields import read_fields
from tailrace.config.formats import read_formats
from tailrace.config.keys import read_keys
from tailrace.config.listen import parse_listen
from tailrace.config.problem import SettingsFile
from tailrace.config.ranges import RANGES, TEXTS
from tailrace.config.settings import Settings
from tailrace.config.tls import read_tls
from tailrace.errors import Invalid
from tailrace.model.line_format import BUILTIN

FILE_NAME = "tailrace.toml"
DATA_DIR = "tailrace-data"
VIEWS_DIR = "views"
_TOP = (
    "data_dir",
    "views_dir",
    "searches_dir",
    "alerts_dir",
    "dashboards_dir",
    "listen",
    "fields",
    "formats",
    "endpoint_rules",
    "tls",
    "keys",
)
SECTIONS = ("stream", "ingest", "speed", "batch", "retention", "query", "kinesis", "access")


def load_settings(
    path: Path | None = None,
    *,
    data_dir: Path | None = None,
    views_dir: Path | None = None,
    listen: str | None = None,
    folder: Path | None = None,
) -> Settings:
    """Settings from `path`, or from `tailrace.toml` in `folder` (default: the current one) if there is one; arguments win.

    Raises Invalid with file, key and what is allowed, or if a `path` that was asked for cannot be read.
    """
    here = (folder or Path.cwd()).absolute()
    if path is None and (here / FILE_NAME).exists():
        path = here / FILE_NAME
    document = {} if path is None else _read(path)
    file = SettingsFile(FILE_NAME if path is None else str(path))
    for key in document:
        if key not in _TOP and key not in SECTIONS:
            raise file.unknown(key, (*_TOP, *SECTIONS))
    known_fields = read_fields(file, document.get("fields", []))
    settings = Settings(
        data_dir=_folder(file, document, "data_dir", DATA_DIR, path, here),
        views_dir=_folder(file, document, "views_dir", VIEWS_DIR, path, here),
        dashboards_dir=_folder(file, document, "dashboards_dir", "", path, here)
        if "dashboards_dir" in document
        else None,
        alerts_dir=_folder(file, document, "alerts_dir", "", path, here) if "alerts_dir" in document else None,
        fields=known_fields,
        formats=read_formats(file, document.get("formats", []), known_fields),
        endpoint_rules=read_endpoint_rules(file, document.get("endpoint_rules", []), known_fields),
        tls=read_tls(file, document.get("tls"), here if path is None else path.absolute().parent),
        keys=read_keys(file, document.get("keys", [])),
        searches_dir=_folder(file, document, "searches_dir", "", path, here) if "searches_dir" in document else None,
    )
    for section in SECTIONS:
        values = _section(file, section, getattr(settings, section), document.get(section, {}))
        settings = replace(settings, **{section: values})
    host, port = _listen(file, document.get("listen"), listen) or (settings.listen_host, settings.listen_port)
    settings = replace(settings, listen_host=host, listen_port=port)
    if data_dir is not None:
        settings = replace(settings, data_dir=(here / data_dir).resolve())
    if views_dir is not None:
        settings = replace(settings, views_dir=(here / views_dir).resolve())
    _check_together(file, settings)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Invalid(f"there is no file `{path}`", hint="check --config, or leave it out for the defaults") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"`{path}` cannot be read: {error}", hint="it must be a UTF-8 text file") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            f"`{path}` is not TOML: {error}", hint='values look like: shards = 4 or listen = "127.0.0.1:8080"'
        ) from error


def _folder(
    file: SettingsFile, document: Mapping[str, Any], key: str, default: str, path: Path | None, here: Path
) -> Path:
    value = document.get(key, default)
    if not isinstance(value, str) or not value:
        raise file.wrong(key, value, "a folder, as text")
    base = path.absolute().parent if path is not None and key in document else here
    try:
        return (base / Path(value).expanduser()).resolve()
    except (RuntimeError, ValueError, OSError) as error:  # nobody has that home, a NUL byte, links that go in a circle
        raise file.wrong(key, value, f"a folder that there can be: {str(error).lower()}") from error


def _section(file: SettingsFile, section: str, defaults: Any, given: Any) -> Any:
    """`defaults` (a settings value) with what the file's table gives for it."""
    if not isinstance(given, dict):
        raise file.wrong(section, given, f"a table: [{section}]")
    known = {f.name: f.default for f in fields(defaults) if f.default is not MISSING}
    for key, value in given.items():
        name = f"{section}.{key}"
        if key not in known:
            raise file.unknown(key, tuple(known), section)
        if isinstance(known[key], bool):
            if not isinstance(value, bool):
                raise file.wrong(name, value, "true or false")
        elif isinstance(known[key], str):
            _check_text(file, name, value)
        else:
            _check_number(file, name, value)
    return replace(defaults, **given)


def _check_number(file: SettingsFile, name: str, value: Any) -> None:
    low, high = RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise file.wrong(name, value, f"a whole number from {low} to {high}")


def _check_text(file: SettingsFile, name: str, value: Any) -> None:
    pattern, allowed = TEXTS[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise file.wrong(name, value, allowed)


def _listen(file: SettingsFile, value: Any, argument: str | None) -> tuple[str, int] | None:
    if argument is not None:
        return parse_listen(argument)
    if value is None:
        return None
    try:
        return parse_listen(str(value))
    except Invalid as error:
        raise file.wrong("listen", value, error.hint) from error


def _check_together(file: SettingsFile, settings: Settings) -> None:
    """Rules about two settings."""
    if settings.ingest.line_bytes_max > settings.ingest.body_bytes_max:
        raise file.wrong("ingest.line_bytes_max", settings.ingest.line_bytes_max, "at most ingest.body_bytes_max")
    if settings.ingest.body_bytes_max > settings.stream.queue_bytes_max:
        raise file.wrong("ingest.body_bytes_max", settings.ingest.body_bytes_max, "at most stream.queue_bytes_max")
    if settings.fields.get(settings.ingest.key_field) is None:
        raise file.none_such("ingest.key_field", settings.ingest.key_field, "the fields", settings.fields.names)
    formats = (*BUILTIN, *(each.name for each in settings.formats))
    if settings.ingest.format not in formats:
        raise file.none_such("ingest.format", settings.ingest.format, "the formats", formats)
