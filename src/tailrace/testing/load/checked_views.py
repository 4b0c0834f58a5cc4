"""The views that the checker knows, described by hand: were they read from their SQL, a fault in the reader would hide itself.

Quantiles and distinct counts are left to other tests. All else of the shipped views is here, and `users`, a view of its own
with as many keys an hour as there are users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tailrace.testing.load.plan import ENDPOINTS, NETWORKS, SERVICES, STATUSES, Lines

USERS_SQL = """\
-- Each user of each hour: what they asked for and how long they waited.
CREATE VIEW users AS
SELECT time_bucket(INTERVAL '1 hour', timestamp) AS window_start,
       extra['user'] AS user,
       count(*) AS requests,
       sum(response_ms) AS response_ms_sum,
       avg(response_ms) AS response_ms_avg,
       min(response_ms) AS response_ms_min,
       max(response_ms) AS response_ms_max,
       count(*) FILTER (WHERE status >= 500) AS server_errors
FROM logs
GROUP BY ALL;
"""
MEASURES = ("count", "sum", "min", "max", "errors")
"""Of the good lines of a row. Response times in thousandths of a millisecond; errors have a status of 500 or more."""


@dataclass(frozen=True, slots=True)
class Key:
    """`values`: what a code stands for; `codes`: lines -> the code of each."""

    name: str
    values: Sequence[object]
    codes: Callable[[Lines], Any]


@dataclass(frozen=True, slots=True)
class CheckedView:
    """`columns`: the name of a number -> its measure, or `avg`."""

    name: str
    window_ms: int
    keys: tuple[Key, ...]
    columns: dict[str, str]

    def codes(self, lines: Lines) -> Any:
        """One number for the window and keys of each line (int64)."""
        code = lines.at_ms // self.window_ms
        for key in self.keys:
            code = code * len(key.values) + key.codes(lines)
        return code

    def parts(self, code: int) -> tuple[int, tuple[object, ...]]:
        """(window start in ms, keys): the inverse of `codes`."""
        found = []
        for key in reversed(self.keys):
            code, place = divmod(code, len(key.values))
            found.append(key.values[place])
        return code * self.window_ms, tuple(reversed(found))

    @property
    def span(self) -> int:
        """Codes of one window."""
        return int(np.prod([len(key.values) for key in self.keys], dtype=np.int64))


SERVICE = Key("service", SERVICES, lambda lines: lines.service)
ENDPOINT = Key("endpoint", ENDPOINTS, lambda lines: lines.endpoint)
STATUS = Key("status", STATUSES, lambda lines: lines.status)
NETWORK = Key("network", tuple(f"{name}.0/24" for name in NETWORKS), lambda lines: lines.network)
_TIMES = {"response_ms_avg": "avg", "response_ms_min": "min", "response_ms_max": "max", "response_ms_sum": "sum"}
SHIPPED = (
    CheckedView(
        "overall_health",
        10_000,
        (),
        {"requests": "count", "response_ms_avg": "avg", "response_ms_max": "max", "server_errors": "errors"},
    ),
    CheckedView("endpoint_health", 10_000, (ENDPOINT,), {"requests": "count", **_TIMES, "server_errors": "errors"}),
    CheckedView("status_by_endpoint", 10_000, (ENDPOINT, STATUS), {"requests": "count"}),
    CheckedView(
        "records_by_service", 10_000, (SERVICE, ENDPOINT, STATUS), {"records": "count", "response_ms_sum": "sum"}
    ),
    CheckedView("traffic_by_network", 60_000, (NETWORK,), {"requests": "count"}),
)


@cache
def users_view(users: int) -> CheckedView:
    """Of `USERS_SQL`."""
    names = tuple(f"u{user:07d}" for user in range(users))
    columns = {"requests": "count", **_TIMES, "server_errors": "errors"}
    return CheckedView("users", 3_600_000, (Key("user", names, lambda lines: lines.user),), columns)
