"""A profile from its TOML. Whatever is wrong with one is an `Invalid` that names the file, the place and what would be right."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from tailrace.errors import Invalid
from tailrace.producers.near_names import near
from tailrace.producers.profile.model import Addresses, Arrivals, Endpoint, Profile, Sessions, Times

SHOP = "shop"
ENDPOINTS_MAX = 2_000
_KINDS = ("fine", "slow", "refused", "failed")
_TOP = ("name", "source", "addresses", "sessions", "arrivals", "endpoint")


def shipped_profile() -> Profile:
    """The shop."""
    text = resources.files("tailrace.producers.profile").joinpath(f"{SHOP}.profile.toml").read_text(encoding="utf-8")
    return parse_profile(text, SHOP)


def read_profile(path: Path) -> Profile:
    """Raises Invalid for a file that cannot be read or is no profile."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"profile `{path}` cannot be read: {error}",
            hint="make one from a log: tailrace profile learn FILE -o shop.profile.toml",
        ) from error
    return parse_profile(text, str(path))


def parse_profile(text: str, where: str) -> Profile:
    """`where`: what the text is called in errors."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            f"`{where}` is no TOML: {error}",
            hint="a profile is a TOML file; for a log, use --base FILE or tailrace profile learn FILE",
        ) from error
    at = _At(where, "")
    at.known(content, _TOP)
    listed = content.get("endpoint")
    if not isinstance(listed, list) or not 1 <= len(listed) <= ENDPOINTS_MAX:
        raise at.wrong("has no endpoints", f"write 1 to {ENDPOINTS_MAX:,} of: [[endpoint]] path, service, share, ...")
    endpoints = tuple(_endpoint(each, at.inner(f"endpoint {n + 1}")) for n, each in enumerate(listed))
    paths = [endpoint.path for endpoint in endpoints]
    if len(set(paths)) != len(paths):
        raise at.wrong("names an endpoint twice", "give each path once")
    total = sum(endpoint.share for endpoint in endpoints)
    if not math.isclose(total, 1.0, abs_tol=0.01):
        raise at.wrong(f"has shares of endpoints that add up to {total:.4g}", "make them add up to 1")
    return Profile(
        name=str(content.get("name", Path(where).name.removesuffix(".toml").removesuffix(".profile"))),
        endpoints=endpoints,
        addresses=_addresses(content.get("addresses", {}), at.inner("addresses")),
        sessions=_sessions(content["sessions"], paths, at.inner("sessions")) if "sessions" in content else None,
        arrivals=_arrivals(content.get("arrivals", {}), at.inner("arrivals")),
        source=str(content.get("source", "")),
    )


class _At:
    """A place in a file, for errors."""

    def __init__(self, where: str, place: str) -> None:
        self._where, self._place = where, place

    def inner(self, place: str) -> _At:
        return _At(self._where, f"{self._place}, {place}" if self._place else place)

    def wrong(self, problem: str, hint: str = "") -> Invalid:
        return Invalid(f"`{self._where}`{f', {self._place},' if self._place else ''} {problem}", hint=hint)

    def known(self, content: Any, names: Sequence[str]) -> None:
        """A typing error must not pass unseen."""
        if not isinstance(content, dict):
            raise self.wrong("is no table", f"it has: {', '.join(names)}")
        for name in content:
            if name not in names:
                raise self.wrong(f"has no `{name}`", near(name, names))

    def number(self, value: Any, low: float, high: float, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(f"has `{name}` = `{value}`", f"write a number from {low:g} to {high:g}")
        return float(value)

    def text(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or not value or any(ord(c) < 32 for c in value):
            raise self.wrong(f"has `{name}` = `{value}`", "write text between quotes")
        return value


def _endpoint(content: Any, at: _At) -> Endpoint:
    at.known(content, ("path", "service", "method", "share", "statuses", "response_ms", "messages"))
    path = at.text(content.get("path"), "path")
    at = at.inner(f"`{path}`")
    messages = content.get("messages", {})
    at.inner("messages").known(messages, _KINDS)
    return Endpoint(
        path=path,
        service=at.text(content.get("service", "web"), "service"),
        method=at.text(content.get("method", "GET"), "method"),
        share=at.number(content.get("share"), 0, 1, "share"),
        statuses=_statuses(content.get("statuses", {"200": 1.0}), at.inner("statuses")),
        times=_times(content.get("response_ms", {}), at.inner("response_ms")),
        messages={kind: at.text(text, kind) for kind, text in messages.items()},
    )


def _statuses(content: Any, at: _At) -> dict[int, float]:
    if not isinstance(content, dict) or not content:
        raise at.wrong("is no table of codes", "write for example { 200 = 0.98, 500 = 0.02 }")
    found = {}
    for code, share in content.items():
        if not (code.isascii() and code.isdigit() and 100 <= int(code) <= 999):
            raise at.wrong(f"has the code `{code}`", "a status is a number from 100 to 999")
        found[int(code)] = at.number(share, 0, 1, code)
    total = sum(found.values())
    if not math.isclose(total, 1.0, abs_tol=0.01):
        raise at.wrong(f"add up to {total:.4g}", "make the shares add up to 1")
    return found


def _times(content: Any, at: _At) -> Times:
    at.known(content, ("median", "sigma", "tail_from", "tail_alpha", "max", "points", "ks", "learned"))
    points = content.get("points", [])
    if not isinstance(points, list) or len(points) == 1 or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise at.wrong(
            "has `points` that are none", "write at least two of [share, ms], e.g. [[0.0, 2.1], [1.0, 900.0]]"
        )
    pairs = tuple((at.number(s, 0, 1, "points"), at.number(ms, 0, 1e9, "points")) for s, ms in points)
    if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(pairs)):
        raise at.wrong("has `points` that do not ascend", "write them in order of share, with times that do not fall")
    return Times(
        median_ms=at.number(content.get("median", 20.0), 0.001, 1e9, "median"),
        sigma=at.number(content.get("sigma", 0.5), 0, 10, "sigma"),
        tail_from=at.number(content.get("tail_from", 1.0), 0.01, 1, "tail_from"),
        tail_alpha=at.number(content.get("tail_alpha", 0.0), 0, 1000, "tail_alpha"),
        max_ms=at.number(content.get("max", 0.0), 0, 1e9, "max"),
        points=pairs,
        ks=at.number(content["ks"], 0, 1, "ks") if "ks" in content else None,
    )


def _addresses(content: Any, at: _At) -> Addresses:
    at.known(content, ("count", "zipf", "networks"))
    given = Addresses()
    count = at.number(content.get("count", given.count), 1, 1_000_000, "count")
    return Addresses(
        count=int(count),
        zipf=at.number(content.get("zipf", given.zipf), 0, 5, "zipf"),
        networks=int(at.number(content.get("networks", min(count, given.networks)), 1, count, "networks")),
    )


def _sessions(content: Any, paths: Sequence[str], at: _At) -> Sessions:
    at.known(content, ("first", "then"))
    then = content.get("then", {})
    at.inner("then").known(then, paths)
    first = _row(content.get("first", {}), paths, at.inner("first"))
    if not math.isclose(sum(first), 1.0, abs_tol=0.01):
        raise at.wrong(f"`first` adds up to {sum(first):.4g}", "make the shares add up to 1")
    rows = tuple(_row(then.get(path, {}), paths, at.inner(f"then `{path}`")) for path in paths)
    return Sessions(first, rows)


def _row(content: Any, paths: Sequence[str], at: _At) -> tuple[float, ...]:
    at.known(content, paths)
    row = tuple(at.number(content.get(path, 0.0), 0, 1, path) for path in paths)
    if sum(row) > 1.001:
        raise at.wrong(f"adds up to {sum(row):.4g}", "make it at most 1; what is missing ends the visit")
    return row


def _arrivals(content: Any, at: _At) -> Arrivals:
    at.known(content, ("hours", "days"))
    return Arrivals(_rates(content, "hours", 24, at), _rates(content, "days", 7, at))


def _rates(content: Mapping[str, Any], name: str, size: int, at: _At) -> tuple[float, ...]:
    """Scaled to a mean of 1."""
    values = content.get(name, [1.0] * size)
    if not isinstance(values, list) or len(values) != size:
        raise at.wrong(f"has `{name}` that are not {size}", f"write {size} numbers")
    rates = [at.number(value, 0, 1e9, name) for value in values]
    if not sum(rates):
        raise at.wrong(f"has `{name}` without any traffic", "make one of them greater than 0")
    return tuple(rate * size / sum(rates) for rate in rates)
