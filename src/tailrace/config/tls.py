"""`[tls]` of the settings file: a second address, where all that is spoken is encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tailrace.config.listen import parse_listen
from tailrace.config.problem import SettingsFile
from tailrace.config.settings import TlsSettings
from tailrace.errors import Invalid

_KEYS = ("listen", "certificate", "key")


def read_tls(file: SettingsFile, table: Any, folder: Path) -> TlsSettings | None:
    """None where there is no such table. Relative paths count from `folder`. Raises Invalid; the files are not looked at."""
    if table is None:
        return None
    if not isinstance(table, dict):
        raise file.wrong("tls", table, "a table: [tls]")
    for key in table:
        if key not in _KEYS:
            raise file.unknown(key, _KEYS, "tls")
    if "listen" not in table:
        raise file.missing("tls.listen", "an address such as 127.0.0.1:8443")
    try:
        host, port = parse_listen(str(table["listen"]))
    except Invalid as error:
        raise file.wrong("tls.listen", table["listen"], error.hint) from error
    certificate, key = _path(file, table, "certificate", folder), _path(file, table, "key", folder)
    if (certificate is None) != (key is None):
        lacks = "key" if key is None else "certificate"
        raise file.missing(f"tls.{lacks}", "a PEM file; without both, a certificate is made in the data folder")
    return TlsSettings(host, port, certificate, key)


def _path(file: SettingsFile, table: dict[str, Any], key: str, folder: Path) -> Path | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise file.wrong(f"tls.{key}", value, "a PEM file, as text")
    return folder / value
