"""What a node holds of some runs, asked over HTTP, in the form that the verdict needs."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.cli.client import ANSWER_TIMEOUT_S, Client
from tailrace.errors import Invalid, NotFound, Timeout, TooLarge, Unavailable
from tailrace.model.window import iso
from tailrace.producers.lines import POST_DIGITS, RUN_DIGITS
from tailrace.producers.truth import WINDOW_US
from tailrace.producers.verification.expected import Cells, Key, Sums
from tailrace.producers.verification.judge import Found
from tailrace.runtime.clock import Clock

VIEW = "records_by_service"
ARROW = "application/vnd.apache.arrow.stream"
POSTS_AT_ONCE = 500
PAUSE_S = 0.5
T = TypeVar("T")
Stretch = tuple[int, int]

_CELLS = """
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, service, endpoint, status,
       count(*) AS records, sum(response_ms) AS response_ms_sum,
       count(*) FILTER ({own}) AS own, sum(response_ms) FILTER ({own}) AS own_sum,
       count(DISTINCT trace_id) FILTER ({own}) AS distinct_own
FROM logs WHERE timestamp >= TIMESTAMP '{first}' AND timestamp < TIMESTAMP '{end}' GROUP BY ALL
"""
_POSTS = """
SELECT substr(trace_id, 1, {digits}) AS post, time_bucket(INTERVAL '10 seconds', timestamp) AS window_start, service, endpoint, status,
       count(*) AS records, sum(response_ms) AS response_ms_sum
FROM logs
WHERE timestamp >= TIMESTAMP '{first}' AND timestamp < TIMESTAMP '{end}' AND substr(trace_id, 1, {digits}) IN ({posts}) GROUP BY ALL
"""


class PatientClient(Client):
    """Asks again for `wait_s` seconds while the node, or a process of it, is starting; a node that was never met is not waited for."""

    def __init__(self, url: str, clock: Clock, wait_s: float) -> None:
        super().__init__(url)
        self._clock = clock
        self._deadline_s = clock.monotonic_s() + wait_s
        self._met = False

    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> http.client.HTTPResponse:
        while True:
            try:
                response = super().open(method, path, body, headers, timeout_s)
            except Unavailable as error:
                # One with a cause is of the connection, any other is the node's own answer.
                self._met = self._met or error.__cause__ is None
                if not self._met or self._clock.monotonic_s() >= self._deadline_s:
                    raise
                self._clock.sleep(PAUSE_S)
            else:
                self._met = True
                return response


def view_cells(client: Client, stretches: Sequence[Stretch]) -> Cells:
    """Rows of the view whose windows lie in `stretches`; rows without a service, endpoint or status are others'."""
    found: Cells = {}
    for stretch in stretches:
        for table in _halved(lambda part: _view(client, part), stretch):
            columns = ("records", "response_ms_sum")
            found.update({key: Sums(*sums) for key, sums in _rows(table, columns) if key is not None})
    return found


def log_cells(client: Client, stretches: Sequence[Stretch], runs: Sequence[str]) -> dict[Key, Found]:
    """What `logs` has in `stretches`, of all and of `runs`."""
    names = ", ".join(f"'{run}'" for run in runs)
    own = f"WHERE length(trace_id) = 32 AND substr(trace_id, 1, {RUN_DIGITS}) IN ({names})"
    found: dict[Key, Found] = {}
    for stretch in stretches:
        for table in _halved(lambda part: _sql(client, _CELLS, part, own=own), stretch):
            columns = ("records", "response_ms_sum", "own", "own_sum", "distinct_own")
            for key, numbers in _rows(table, columns):
                if key is not None:
                    found[key] = Found(Sums(*numbers[:2]), Sums(*numbers[2:4]), numbers[4])
    return found


def post_cells(client: Client, stretches: Sequence[Stretch], posts: Sequence[str]) -> dict[str, Cells]:
    """What `logs` has of single posts, by the beginning of their lines' trace ids."""
    found: dict[str, Cells] = {}
    for begin in range(0, len(posts), POSTS_AT_ONCE):
        names = ", ".join(f"'{post}'" for post in posts[begin : begin + POSTS_AT_ONCE])
        for stretch in stretches:
            ask = lambda part: _sql(client, _POSTS, part, digits=RUN_DIGITS + POST_DIGITS, posts=names)  # noqa: B023, E731
            for table in _halved(ask, stretch):
                for post, (key, sums) in zip(
                    table["post"].to_pylist(), _rows(table, ("records", "response_ms_sum")), strict=True
                ):
                    if key is not None:
                        found.setdefault(post, {})[key] = Sums(*sums)
    return found


def _halved(ask: Callable[[Stretch], T], stretch: Stretch) -> Iterator[T]:
    """The answers for a stretch, or for parts of it where it is too much at once."""
    first, end = stretch
    try:
        answer = ask(stretch)
    except (TooLarge, Timeout):
        if end - first == 1:
            raise
    else:
        yield answer
        return
    middle = (first + end) // 2
    yield from _halved(ask, (first, middle))
    yield from _halved(ask, (middle, end))


def _view(client: Client, stretch: Stretch) -> pa.Table:
    first, end = (iso(window * WINDOW_US) for window in stretch)
    try:
        response = client.open(
            "GET", f"/v1/views/{VIEW}?{urlencode({'from': first, 'to': end})}", headers={"Accept": ARROW}
        )
    except NotFound as error:
        raise Invalid(f"the node has no view `{VIEW}`", hint="is it a Tailrace node of this version?") from error
    with response, pa.ipc.open_stream(response.read()) as stream:
        return stream.read_all()


def _sql(client: Client, text: str, stretch: Stretch, **values: object) -> pa.Table:
    first, end = (iso(window * WINDOW_US)[:-1].replace("T", " ") for window in stretch)
    response = client.post("/v1/query", {"sql": text.format(first=first, end=end, **values)}, ARROW)
    with response, pa.ipc.open_stream(response.read()) as stream:
        return stream.read_all()


def _rows(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Key | None, tuple[int, ...]]]:
    """Of each row its key, None where a part of it is null, and whole numbers: times in microseconds."""
    starts = pc.cast(table["window_start"], pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy() // WINDOW_US
    names = [table[name].to_pylist() for name in ("service", "endpoint", "status")]
    numbers = [whole_numbers(table[name]) for name in columns]
    for window, service, endpoint, status, *values in zip(starts.tolist(), *names, *numbers, strict=True):
        known = service is not None and endpoint is not None and status is not None
        yield (Key(window, service, endpoint, status) if known else None), tuple(values)


def whole_numbers(column: pa.ChunkedArray) -> list[int]:
    """Counts as they are, decimals of three places in thousandths, null as 0."""
    values = column.combine_chunks()
    if pa.types.is_decimal(values.type):
        words: Any = pc.cast(values, pa.decimal128(38, 3)).fill_null(0).buffers()[1]
        pairs = np.frombuffer(words, np.int64).reshape(-1, 2)[values.offset : values.offset + len(values)]
        return [int(low) for low in pairs[:, 0].tolist()]
    return [int(value) for value in pc.cast(values, pa.int64(), safe=False).fill_null(0).to_pylist()]
