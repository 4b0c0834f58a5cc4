"""Where messages go: `channels.toml` in the folder of the rules. Secrets are named there, never written: `url_env`, `token_file`.

external_url = "https://logs.example.com"
[notify]       group_by = ["alertname"]  group_wait = "10s"  group_interval = "1m"  repeat_interval = "4h"
[[channel]]    name = "ops"  kind = "slack"  url_env = "SLACK_URL"
[[maintenance]] name = "backups"  days = ["sun"]  at = "02:00"  for = "2h"  zone = "Europe/Zurich"  match = ["endpoint=~/batch.*"]
"""

from __future__ import annotations

import logging
import os
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tailrace.alerts.notify.matchers import Matcher, parse_matcher
from tailrace.alerts.rule_files import CHANNELS_FILE, read_table
from tailrace.errors import Invalid
from tailrace.model.window import datetime_us, duration_us, parse_iso, us_datetime

LOG = logging.getLogger(__name__)
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SECRETS = ("url", "token", "routing_key", "user", "password")
_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alertmanager_webhook": (("url",), ("token",)),
    "alertmanager": (("url",), ("token",)),
    "webhook": (("url",), ("token", "template", "content_type", "method")),
    "slack": (("url",), ()),
    "pagerduty": (("routing_key",), ("url", "severity")),
    "email": (("host", "from", "to"), ("port", "tls", "user", "password")),
    "apprise": (("url",), ()),
}
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True)
class Channel:
    """`given`: its table. What is secret in it is read when it is used, so that it can be exchanged without a restart."""

    name: str
    kind: str
    given: Mapping[str, Any] = field(hash=False, repr=False)
    send_resolved: bool = True

    def text(self, key: str, default: str = "") -> str:
        """A setting, from where the table says it is. Raises Invalid, which names the place and never the secret."""
        if (variable := self.given.get(f"{key}_env")) is not None:
            value = os.environ.get(str(variable))
            if not value:
                raise Invalid(
                    f"channel `{self.name}`: the variable `{variable}` is not set", hint="set it for tailrace up"
                )
            return value.strip()
        if (file := self.given.get(f"{key}_file")) is not None:
            try:
                return Path(str(file)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is not UTF-8"
                raise Invalid(
                    f"channel `{self.name}`: `{file}` cannot be read: {why}", hint=f"see {key}_file"
                ) from error
        return str(self.given.get(key, default))

    @property
    def target(self) -> str:
        """For people: where it goes, without what is secret in it."""
        if self.kind == "email":
            return f"{self.given['host']} to {', '.join(self.given['to'])}"
        try:
            url = self.text("url", PAGERDUTY_URL if self.kind == "pagerduty" else "")
        except Invalid:
            return "not set"
        return host_of(url)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Nobody is told of what matches while it lasts: once (`from_us`, `to_us`), or on `days` from `at_s` after midnight in `zone`."""

    name: str
    matchers: tuple[Matcher, ...]
    from_us: int = 0
    to_us: int = 0
    days: tuple[int, ...] = ()
    at_s: int = 0
    for_us: int = 0
    zone: str = "UTC"

    def is_on(self, now_us: int) -> bool:
        if not self.days:
            return self.from_us <= now_us < self.to_us
        zone = zoneinfo.ZoneInfo(self.zone)
        local = us_datetime(now_us).astimezone(zone)
        for back in range(self.for_us // 86_400_000_000 + 2):
            day = local.date() - timedelta(days=back)
            if day.weekday() not in self.days:
                continue
            begin = datetime.combine(day, datetime.min.time(), zone) + timedelta(seconds=self.at_s)
            if datetime_us(begin) <= now_us < datetime_us(begin) + self.for_us:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Routing:
    """All of the file. `problem`: why the file of now is not in force; the one before is."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    external_url: str = ""
    group_by: tuple[str, ...] = ("alertname",)
    group_wait_us: int = 10_000_000
    group_interval_us: int = 60_000_000
    repeat_interval_us: int = 4 * 3_600_000_000
    problem: str = ""
    hint: str = ""


class ChannelsFile:
    """Looked at again and again; a file that cannot be used leaves the one before in force."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CHANNELS_FILE
        self._stamp: tuple[int, int] | None = None
        self.routing = Routing()

    def look(self) -> Routing:
        try:
            known = self._path.stat()
            stamp = (known.st_size, known.st_mtime_ns)
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self.routing = read_routing(read_table(self._path)) if stamp else Routing()
            except Invalid as error:
                LOG.error("%s cannot be used: %s (%s)", CHANNELS_FILE, error.message, error.hint)
                was = self.routing
                self.routing = Routing(
                    was.channels, was.maintenance, was.external_url, was.group_by, was.group_wait_us,
                    was.group_interval_us, was.repeat_interval_us, error.message, error.hint,
                )  # fmt: skip
        return self.routing


def read_routing(document: Mapping[str, Any]) -> Routing:
    """Raises Invalid with the key and what is allowed."""
    _known("channels.toml", document, ("external_url", "notify", "channel", "maintenance"))
    notify = document.get("notify", {})
    if not isinstance(notify, dict):
        raise Invalid("`notify` must be a table", hint="[notify]")
    _known("notify", notify, ("group_by", "group_wait", "group_interval", "repeat_interval"))
    channels: dict[str, Channel] = {}
    for table in _tables(document, "channel"):
        channel = _channel(table)
        if channel.name in channels:
            raise Invalid(f"channel `{channel.name}` is there twice", hint="rename one of them")
        channels[channel.name] = channel
    group_by = notify.get("group_by", ["alertname"])
    if not isinstance(group_by, list) or not all(isinstance(name, str) for name in group_by):
        raise Invalid("`notify.group_by` must be a list of labels", hint='for example ["alertname", "endpoint"]')
    external_url = document.get("external_url", "")
    if not isinstance(external_url, str) or (external_url and urlsplit(external_url).scheme not in ("http", "https")):
        raise Invalid("`external_url` must be an http or https URL", hint="where people reach this node")
    defaults = Routing()
    return Routing(
        channels,
        tuple(_maintenance(table) for table in _tables(document, "maintenance")),
        external_url,
        tuple(group_by),
        _time(notify, "group_wait", defaults.group_wait_us),
        _time(notify, "group_interval", defaults.group_interval_us),
        max(_time(notify, "repeat_interval", defaults.repeat_interval_us), 1_000_000),
    )


def host_of(url: str) -> str:
    """`https://hooks.example.com/...`: whose it is, without path, user and query, which may be secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "not a URL"
    shown = f"{host}:{port}" if port else host
    more = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{shown}{more}" if host and parts.scheme in ("http", "https") else f"{parts.scheme}://..."


def _channel(table: Mapping[str, Any]) -> Channel:
    name, kind = table.get("name"), table.get("kind")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Invalid(f"`{name}` is no name of a channel", hint="lower case letters, digits, _ and -, a letter first")
    if kind not in _KINDS:
        raise Invalid(f"channel `{name}`: `kind` cannot be `{kind}`", hint=f"allowed: {', '.join(_KINDS)}")
    needed, more = _KINDS[kind]
    allowed = {"name", "kind", "send_resolved", *needed, *more}
    allowed |= {f"{key}_{where}" for key in SECRETS if key in allowed for where in ("env", "file")}
    _known(f"channel `{name}`", table, tuple(allowed))
    for key in needed:
        if sum(each in table for each in (key, f"{key}_env", f"{key}_file")) != 1:
            raise Invalid(f"channel `{name}` needs `{key}`", hint=f"one of {key}, {key}_env, {key}_file")
    for key, value in table.items():
        wanted: type = bool if key == "send_resolved" else list if key == "to" else int if key == "port" else str
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise Invalid(f"channel `{name}`: `{key}` must be of type {wanted.__name__}")
    if table.get("tls", "starttls") not in ("starttls", "tls", "none"):
        raise Invalid(f"channel `{name}`: `tls` cannot be `{table['tls']}`", hint="allowed: starttls, tls, none")
    url = table.get("url")
    if isinstance(url, str) and kind != "apprise" and urlsplit(url).scheme not in ("http", "https"):
        raise Invalid(f"channel `{name}`: `url` must be an http or https URL")
    return Channel(name, kind, dict(table), table.get("send_resolved", True))


def _maintenance(table: Mapping[str, Any]) -> Maintenance:
    _known("maintenance", table, ("name", "match", "from", "to", "days", "at", "for", "zone"))
    name = str(table.get("name", "maintenance"))
    listed = table.get("match", [])
    if not isinstance(listed, list):
        raise Invalid(f"maintenance `{name}`: `match` must be a list", hint='for example match = ["endpoint=/login"]')
    matchers = tuple(parse_matcher(str(text)) for text in listed)
    if "from" in table or "to" in table:
        from_us, to_us = parse_iso(str(table.get("from", ""))), parse_iso(str(table.get("to", "")))
        return Maintenance(name, matchers, from_us, to_us)
    days = table.get("days", list(DAYS))
    if not isinstance(days, list) or not days or not all(day in DAYS for day in days):
        raise Invalid(f"maintenance `{name}`: `days` holds what is no day", hint=f"allowed: {', '.join(DAYS)}")
    at = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", str(table.get("at", "")))
    if at is None:
        raise Invalid(f"maintenance `{name}`: `at` must be a time of day", hint='for example at = "02:00"')
    zone = str(table.get("zone", "UTC"))
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"maintenance `{name}`: there is no zone `{zone}`", hint="for example Europe/Zurich") from error
    return Maintenance(
        name,
        matchers,
        days=tuple(DAYS.index(day) for day in days),
        at_s=int(at[1]) * 3600 + int(at[2]) * 60,
        for_us=_time(table, "for", 3_600_000_000),
        zone=zone,
    )


def _known(place: str, table: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in table:
        if key not in names:
            raise Invalid(f"{place}: there is no `{key}`", hint=f"there are: {', '.join(sorted(names))}")


def _tables(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Invalid(f"`{key}` must be tables", hint=f"each as [[{key}]]")
    return value


def _time(table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key)
    return default if value is None else duration_us(str(value))
