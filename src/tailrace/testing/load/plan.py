"""What is sent: post `number` of a sender is always the same lines, and when it is sent and sent again is fixed too. Pure.

Some lines are late, by minutes to days. Some cannot be read. Some posts are sent once more after others, under the same stamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailrace.testing.load.draws import draws, seeded

SERVICES = ("auth", "cdn", "pay", "shop", "web")
ENDPOINTS = ("/cart", "/health", "/home", "/login", "/logout", "/pay", "/profile", "/search", "/static/a", "/static/b")
STATUSES = (200, 201, 304, 404, 500, 503)
_STATUS_SHARES = (800, 850, 900, 950, 980, 1000)
NETWORKS = tuple(f"10.{a}.{b}" for a in range(4) for b in range(16))
HOSTS = 250
RESPONSE_MAX = 2_000_000
"""Thousandths of a millisecond."""
_STEP = 7_368_787
"""A prime: times the ordinal of a line, it goes through all users before it meets one again."""
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
RESEND_AFTER_MAX = 20
"""Posts of the same sender that lie between a post and its being sent again, at most."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`start_ms`: the time of the first line, since 1970. `rate`: lines a second of all senders. `users`: distinct ids; not a multiple
    of the prime 7,368,787. Shares are of 1,000: late and malformed of lines, resent of posts.
    """

    seed: int
    start_ms: int
    rate: int
    senders: int = 4
    lines_per_post: int = 500
    users: int = 1_000_000
    late: int = 50
    malformed: int = 10
    resent: int = 20

    def due_s(self, sender: int, number: int) -> float:
        """Seconds after the start at which the post is to go out."""
        return (number * self.senders + sender) * self.lines_per_post / self.rate

    def resend_after(self, sender: int, number: int) -> int | None:
        """After how many more posts of the sender this one is sent again; None: it is not."""
        first, second = (int(value) for value in draws(seeded(self.seed, 1, sender, number), 2))
        return 1 + second % RESEND_AFTER_MAX if first % 1000 < self.resent else None

    def stamp(self, sender: int, number: int) -> str:
        """For the header `Tailrace-Producer`."""
        return f"load-{self.seed}-{sender};1;{number}"


@dataclass(frozen=True, slots=True)
class Lines:
    """Of one post or more, a row each: numpy int64, but for `good` (bool). Codes are places in the tuples of this module.

    `response`: thousandths of a millisecond. A line that is not `good` is a dead letter, whatever its other values say.
    """

    at_ms: Any
    service: Any
    endpoint: Any
    status: Any
    response: Any
    network: Any
    host: Any
    user: Any
    good: Any


def lines_of(plan: LoadPlan, sender: int, number: int) -> Lines:
    """The lines of a post."""
    count = plan.lines_per_post
    ordinal = (number * plan.senders + sender) * count + np.arange(count, dtype=np.int64)
    drawn = draws(seeded(plan.seed, 0, sender, number), count * 9).reshape(9, count)

    def below(row: int, bound: int) -> Any:
        return (drawn[row] % np.uint64(bound)).astype(np.int64)

    return Lines(
        at_ms=plan.start_ms + ordinal * 1000 // plan.rate - _delay_ms(drawn[0], drawn[1], plan.late),
        service=below(2, len(SERVICES)),
        endpoint=below(3, len(ENDPOINTS)),
        status=np.searchsorted(_STATUS_SHARES, below(4, 1000), side="right"),
        response=below(5, RESPONSE_MAX),
        network=below(6, len(NETWORKS)),
        host=below(7, HOSTS),
        user=ordinal * _STEP % plan.users,
        good=below(8, 1000) >= plan.malformed,
    )


def _delay_ms(chosen: Any, amount: Any, late: int) -> Any:
    """0, or up to half an hour (of ten late lines, seven), half a day (two) or three days (one)."""
    bound = np.choose(
        np.searchsorted([7, 9], (chosen // np.uint64(1000) % np.uint64(10)).astype(np.int64), side="right"),
        [30 * _MINUTE_MS, 12 * _HOUR_MS, 3 * _DAY_MS],
    )
    delay = (amount % bound.astype(np.uint64)).astype(np.int64)
    return np.where(chosen % np.uint64(1000) < np.uint64(late), delay, 0)


def body_of(lines: Lines, first: int = 0) -> bytes:
    """The lines as NDJSON. `first`: what the traces begin at; it makes no two posts the same bytes."""
    rows = zip(
        *(
            column.tolist()
            for column in (
                lines.at_ms,
                lines.service,
                lines.endpoint,
                lines.status,
                lines.response,
                lines.network,
                lines.host,
                lines.user,
                lines.good,
            )
        ),
        strict=True,
    )
    return b"\n".join(_line(first + place, *row).encode() for place, row in enumerate(rows))


def _line(
    trace: int,
    at_ms: int,
    service: int,
    endpoint: int,
    status: int,
    response: int,
    network: int,
    host: int,
    user: int,
    good: bool,
) -> str:
    if not good:
        return _bad_line(trace, at_ms)
    return (
        f'{{"timestamp":{at_ms},"service":"{SERVICES[service]}","endpoint":"{ENDPOINTS[endpoint]}","method":"GET",'
        f'"status":{STATUSES[status]},"response_ms":{response // 1000}.{response % 1000:03d},'
        f'"ip":"{NETWORKS[network]}.{host}","user":"u{user:07d}","trace_id":"{trace:016x}","message":"request served"}}'
    )


def _bad_line(trace: int, at_ms: int) -> str:
    """One of four ways in which a line cannot be counted; none is like another."""
    match trace % 4:
        case 0:
            return f'{{"timestamp":"not a time","trace_id":"{trace:016x}"}}'
        case 1:
            return f'{{"endpoint":"/home","status":200,"trace_id":"{trace:016x}"}}'
        case 2:
            return f'{{"timestamp":{at_ms},"endpoint":"/home","trace_id":"{trace:016x}'
        case _:
            return f"a line of another program, number {trace}"
