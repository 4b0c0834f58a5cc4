"""A profile as TOML that a person can read and edit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tailrace.producers.profile.model import Endpoint, Profile, Sessions, Times

_DAYS = "Mon Tue Wed Thu Fri Sat Sun"


def profile_toml(profile: Profile, *, times_known: bool = True) -> str:
    """`times_known`: whether response times are those of a log. What `read` gives back is the same profile."""
    parts = [
        "# What traffic is like. Edit it, then: tailrace produce --profile THIS_FILE",
        f"name = {_text(profile.name)}",
        *([f"source = {_text(profile.source)}"] if profile.source else []),
        "",
        "[addresses]",
        f"count = {profile.addresses.count}       # clients; their addresses are made up",
        f"zipf = {profile.addresses.zipf!r}       # the r-th most frequent one comes as r ** -zipf",
        f"networks = {profile.addresses.networks}",
        "",
        "[arrivals]        # relative rates, used where history is filled (--since)",
        f"hours = {_list(profile.arrivals.hours)}   # 00 to 23 UTC",
        f"days = {_list(profile.arrivals.days)}   # {_DAYS}",
        *_sessions(profile),
        *(line for endpoint in profile.endpoints for line in _endpoint(endpoint, times_known)),
    ]
    return "\n".join(parts) + "\n"


def _sessions(profile: Profile) -> list[str]:
    sessions: Sessions | None = profile.sessions
    if sessions is None:
        return []
    paths = [endpoint.path for endpoint in profile.endpoints]
    rows = [f"{_text(path)} = {_table(paths, row)}" for path, row in zip(paths, sessions.then, strict=True)]
    return [
        "",
        "[sessions]",
        "# Where a visit begins, then what follows what. What a row lacks to 1 ends the visit. The mix follows from these;",
        "# without this section, it is that of the shares below.",
        f"first = {_table(paths, sessions.first)}",
        "",
        "[sessions.then]",
        *rows,
    ]


def _endpoint(endpoint: Endpoint, times_known: bool) -> list[str]:
    statuses = ", ".join(f"{code} = {share!r}" for code, share in endpoint.statuses.items())
    messages = [f"{kind} = {_text(text)}" for kind, text in endpoint.messages.items()]
    return [
        "",
        "[[endpoint]]",
        f"path = {_text(endpoint.path)}",
        f"service = {_text(endpoint.service)}",
        f"method = {_text(endpoint.method)}",
        f"share = {endpoint.share!r}",
        f"statuses = {{ {statuses} }}",
        f"[endpoint.response_ms]{'' if times_known else '   # the log has none: a guess'}",
        *_times(endpoint.times),
        *(["[endpoint.messages]", *messages] if messages else []),
    ]


def _times(times: Times) -> list[str]:
    lines = [f"median = {times.median_ms!r}", f"sigma = {times.sigma!r}   # of the logarithm"]
    if times.has_tail:
        lines += [
            f"tail_from = {times.tail_from!r}   # beyond this share, a Pareto tail",
            f"tail_alpha = {times.tail_alpha!r}",
        ]
    if times.max_ms:
        lines.append(f"max = {times.max_ms!r}")
    if times.points:
        lines.append(
            f"points = {[list(point) for point in times.points]}   # in place of the formula, which does not fit"
        )
    if times.ks is not None:
        lines.append(f"ks = {times.ks!r}   # largest distance between the formula and the log")
    return lines


def _table(paths: Sequence[str], row: Sequence[float]) -> str:
    cells = [f"{_text(path)} = {share!r}" for path, share in zip(paths, row, strict=True) if share]
    return f"{{ {', '.join(cells)} }}" if cells else "{}"


def _list(values: Sequence[float] | Mapping[str, float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
