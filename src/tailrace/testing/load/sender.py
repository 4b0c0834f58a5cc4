"""A process that sends one sender's posts, each again and again until it is acknowledged, and says what the answers were.

What it counts stands in shared memory after each answer, so that whoever started it can look at any time.
"""

from __future__ import annotations

import http.client
import json
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tailrace.runtime.clock import SystemClock
from tailrace.testing.load.plan import LoadPlan, body_of, lines_of

COUNTERS = ("posts", "resent", "deduplicated", "uncertain", "repeated", "resting")
"""Of a sender. `posts`: acknowledged; `resent`: of these, acknowledged once more; `deduplicated`: lines that answers called
so; `uncertain`: lines of attempts without an answer, each of which may have counted as that or not; `repeated`: such attempts,
and those that were told to come again; `resting`: 1 while it was told to rest, and no post is under way."""
_AGAIN = (429, 503)
_PAUSE_S_MAX = 1.0
_TIMEOUT_S = 60.0
Answer = tuple[int, dict[str, Any], float]
"""Status, body, seconds to wait; the status is 0 where there was no answer."""


def send(plan: LoadPlan, sender: int, port: int, counters: Any, stop: Any, rest: Any, complaints: Connection) -> None:
    """Until `stop` is set: then the post under way is seen through. An answer that cannot be right is a complaint, and ends it.

    `counters`: a shared array of int64, one for each of COUNTERS. `stop`, `rest`: events of multiprocessing.
    """
    clock, link = SystemClock(), Link(port)
    began_s, number = clock.monotonic_s(), 0
    due: deque[tuple[int, int]] = deque()
    while not stop.is_set():
        if rest.is_set():
            began_s += _rest(counters, stop, rest, clock)
            continue
        early_s = plan.due_s(sender, number) - (clock.monotonic_s() - began_s)
        if early_s > 0 and stop.wait(early_s):
            break
        problem = see_through(plan, sender, number, link.post, counters, clock.sleep)
        counters[0] += problem is None
        if (after := plan.resend_after(sender, number)) is not None:
            due.append((number + after, number))
        for _, again in [each for each in due if each[0] <= number]:
            problem = problem or see_through(plan, sender, again, link.post, counters, clock.sleep, known=True)
            counters[1] += problem is None
        due = deque(each for each in due if each[0] > number)
        if problem is not None:
            complaints.send(problem)
            return
        number += 1


def _rest(counters: Any, stop: Any, rest: Any, clock: SystemClock) -> float:
    """Seconds rested, by which all that follows is later."""
    began_s = clock.monotonic_s()
    counters[5] = 1
    while rest.is_set() and not stop.wait(0.05):
        pass
    counters[5] = 0
    return clock.monotonic_s() - began_s


def see_through(
    plan: LoadPlan,
    sender: int,
    number: int,
    post: Callable[[bytes, str], Answer],
    counters: Any,
    sleep: Callable[[float], None],
    *,
    known: bool = False,
) -> str | None:
    """Send a post until it is acknowledged; `known`: it was before. Returns what is wrong with the answer, if anything is."""
    lines = lines_of(plan, sender, number)
    body = body_of(lines, (sender << 40) + number * plan.lines_per_post)
    good, uncertain = int(lines.good.sum()), False
    while True:
        status, answer, wait_s = post(body, plan.stamp(sender, number))
        if status == 200:
            break
        if status not in (0, *_AGAIN):
            return f"post {number} of sender {sender} was answered {status}: {answer}"
        counters[4] += 1
        if status != 429:
            uncertain = True
            counters[3] += plan.lines_per_post
        sleep(min(wait_s or 0.1, _PAUSE_S_MAX))
    found = tuple(int(answer[name]) for name in ("accepted", "dead_lettered_total", "deduplicated"))
    counters[2] += found[2]
    must = (0, 0, plan.lines_per_post) if known else (good, plan.lines_per_post - good, 0)
    if found == must or (uncertain and not known and sum(found) == plan.lines_per_post and _within(found, must)):
        return None
    return f"post {number} of sender {sender}: accepted, dead-lettered, deduplicated are {found}, must be {must}"


def _within(found: tuple[int, ...], must: tuple[int, ...]) -> bool:
    """Some of it may have been stored by an attempt whose answer was lost, never more than there is."""
    return found[0] <= must[0] and found[1] <= must[1]


class Link:
    """One connection to the node, opened again when it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: http.client.HTTPConnection | None = None

    def post(self, body: bytes, stamp: str) -> Answer:
        if self._open is None:
            self._open = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        headers = {"Tailrace-Producer": stamp, "Content-Type": "application/x-ndjson"}
        try:
            self._open.request("POST", "/v1/logs", body, headers)
            response = self._open.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._open.close()
            self._open = None
            return 0, {}, 0.1
        wait_s = float(response.headers.get("Retry-After") or 0)
        try:
            return response.status, json.loads(content), wait_s
        except ValueError:
            return response.status, {"text": content[:500].decode(errors="replace")}, wait_s
