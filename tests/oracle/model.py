"""The expected rows of the shipped views for a list of lines: one pass, plain Python, nothing of the product imported.

A view is described here a second time, by hand. Were it read from the product's SQL, a fault in the reader would hide itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.lines import Record, parse_json
from tests.oracle.sketches import (
    bucket_bounds,
    deviation,
    earliest,
    estimate,
    histogram,
    latest,
    ranked_bucket,
    registers,
    variance,
)

SECOND_US = 1_000_000
Value = Callable[[Record], Any]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`kind`: count | sum | avg | min | max | quantile | distinct | variance | deviation | all | any | first | last | largest.

    `of`: its argument (None for `count(*)`). `keep`: its FILTER. `n`: of largest, how many values. A first or last number is
    exact in its `scale`; text has none.
    """

    name: str
    kind: str
    of: Value | None = None
    keep: Callable[[Record], bool] = lambda record: True
    share: Fraction = Fraction(0)
    scale: int = 0
    n: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """Columns are the window, the keys, the aggregates, in this order."""

    name: str
    window_us: int
    keys: tuple[tuple[str, Value], ...]
    aggregates: tuple[Aggregate, ...]
    where: Callable[[Record], bool] = lambda record: True

    @property
    def columns(self) -> list[str]:
        return ["window_start", *(name for name, _ in self.keys), *(a.name for a in self.aggregates)]


def parse_all(lines: Iterable[bytes]) -> list[Record]:
    """The good records among JSON lines."""
    return [record for line in lines if (record := parse_json(line)) is not None]


def expected_rows(
    view: View,
    records: Iterable[Record],
    *,
    from_us: int | None = None,
    to_us: int | None = None,
    step_us: int | None = None,
    over_us: int | None = None,
    total: bool = False,
) -> list[tuple[Any, ...]]:
    """Rows ordered by window and keys (NULL last). Windows in microseconds (None with `total`), exact numbers as Decimal.

    `over_us`: hopping windows of this length, one beginning every step; those that start in [from, to), each of all its records.
    """
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if not view.where(record):
            continue
        keys = tuple(of(record) for _, of in view.keys)
        for window in _windows(view, record, step_us, over_us, from_us, to_us):
            groups.setdefault((None if total else window, *keys), []).append(record)
    rows = [(*key, *(_result(a, members) for a in view.aggregates)) for key, members in groups.items()]
    width = 1 + len(view.keys)
    return sorted(rows, key=lambda row: [(value is None, value) for value in row[:width]])


def _windows(
    view: View, record: Record, step_us: int | None, over_us: int | None, from_us: int | None, to_us: int | None
) -> list[int]:
    """The starts of the windows that the record counts in."""
    window = record.at_us - record.at_us % view.window_us

    def wanted(start: int) -> bool:
        return (from_us is None or start >= from_us) and (to_us is None or start < to_us)

    if over_us is not None:
        step = step_us or view.window_us
        return [start for start in range(window - window % step, window - over_us, -step) if wanted(start)]
    return [window - window % (step_us or view.window_us)] if wanted(window) else []


def expected_sketches(view: View, records: Sequence[Record]) -> dict[tuple[Any, ...], dict[str, dict[int, int]]]:
    """(window, keys) -> name of a quantile or distinct count -> its log buckets or registers; empty ones are left out."""
    found: dict[tuple[Any, ...], dict[str, dict[int, int]]] = {}
    for key, members in _groups(view, records).items():
        sketches = {a.name: _sketch(a, members) for a in view.aggregates if a.kind in ("quantile", "distinct")}
        kept = {name: sketch for name, sketch in sketches.items() if sketch}
        if kept:
            found[key] = kept
    return found


def _groups(view: View, records: Iterable[Record]) -> dict[tuple[Any, ...], list[Record]]:
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if view.where(record):
            window = record.at_us - record.at_us % view.window_us
            groups.setdefault((window, *(of(record) for _, of in view.keys)), []).append(record)
    return groups


def _values(aggregate: Aggregate, members: Sequence[Record]) -> list[Any]:
    assert aggregate.of is not None, "only count(*) has no argument"
    values = (aggregate.of(record) for record in members if aggregate.keep(record))
    return [value for value in values if value is not None]


def _sketch(aggregate: Aggregate, members: Sequence[Record]) -> dict[int, int]:
    values = _values(aggregate, members)
    return dict(histogram(values)) if aggregate.kind == "quantile" else registers(values)


def _result(aggregate: Aggregate, members: Sequence[Record]) -> Any:
    if aggregate.of is None:
        return sum(aggregate.keep(record) for record in members)
    values = _values(aggregate, members)
    if aggregate.kind == "count":
        return len(values)
    if aggregate.kind == "distinct":
        return estimate(registers(values))
    if not values:
        return None
    unit = 10**aggregate.scale
    match aggregate.kind:
        case "variance":
            return variance(values, unit, sample=True)
        case "deviation":
            return deviation(values, unit, sample=True)
        case "all":
            return all(values)
        case "any":
            return any(values)
        case "first":
            return _shown(aggregate, earliest(_timed(aggregate, members)))
        case "last":
            return _shown(aggregate, latest(_timed(aggregate, members)))
        case "largest":
            return [_shown(aggregate, value) for value in sorted(values, reverse=True)[: aggregate.n]]
        case "sum":
            return Decimal(sum(values)).scaleb(-aggregate.scale)
        case "avg":
            return sum(values) / unit / len(values)
        case "min":
            return Decimal(min(values)).scaleb(-aggregate.scale)
        case "max":
            return Decimal(max(values)).scaleb(-aggregate.scale)
        case "quantile":
            return _middle(ranked_bucket(histogram(values), aggregate.share), unit)
    raise AssertionError(f"no such kind: {aggregate.kind}")


def _timed(aggregate: Aggregate, members: Sequence[Record]) -> list[tuple[int, Any]]:
    assert aggregate.of is not None
    pairs = ((record.at_us, aggregate.of(record)) for record in members if aggregate.keep(record))
    return [(at_us, value) for at_us, value in pairs if value is not None]


def _shown(aggregate: Aggregate, value: Any) -> Any:
    return Decimal(value).scaleb(-aggregate.scale) if aggregate.scale else value


def _middle(number: int | None, unit: int) -> float | None:
    if number is None:
        return None
    low, high = bucket_bounds(number)
    return float(Fraction(low + high, 2 * unit))


def _response(record: Record) -> int | None:
    return record.response


def network(address: str | None) -> str | None:
    """The /24 of an IPv4 address, the /48 of an IPv6 one."""
    if address is None:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, prefix), strict=False))


def _server_error(record: Record) -> bool:
    return record.status is not None and record.status >= 500


ENDPOINT = ("endpoint", lambda record: record.endpoint)
SERVICE = ("service", lambda record: record.service)
STATUS = ("status", lambda record: record.status)
NETWORK = ("network", lambda record: network(record.ip))

REQUESTS = Aggregate("requests", "count")
SERVER_ERRORS = Aggregate("server_errors", "count", keep=_server_error)
VISITORS = Aggregate("visitors", "distinct", lambda record: record.ip)
RESPONSE_AVG = Aggregate("response_ms_avg", "avg", _response, scale=3)
RESPONSE_P50 = Aggregate("response_ms_p50", "quantile", _response, share=Fraction(1, 2), scale=3)
RESPONSE_P99 = Aggregate("response_ms_p99", "quantile", _response, share=Fraction(99, 100), scale=3)
RESPONSE_MIN = Aggregate("response_ms_min", "min", _response, scale=3)
RESPONSE_MAX = Aggregate("response_ms_max", "max", _response, scale=3)
RESPONSE_SUM = Aggregate("response_ms_sum", "sum", _response, scale=3)

OVERALL_HEALTH = View(
    "overall_health",
    10 * SECOND_US,
    (),
    (REQUESTS, RESPONSE_AVG, RESPONSE_P50, RESPONSE_P99, RESPONSE_MAX, SERVER_ERRORS),
)
ENDPOINT_HEALTH = View(
    "endpoint_health",
    10 * SECOND_US,
    (ENDPOINT,),
    (
        REQUESTS,
        RESPONSE_AVG,
        RESPONSE_P99,
        SERVER_ERRORS,
        VISITORS,
        RESPONSE_MIN,
        RESPONSE_MAX,
        RESPONSE_SUM,
    ),
)
STATUS_BY_ENDPOINT = View("status_by_endpoint", 10 * SECOND_US, (ENDPOINT, STATUS), (REQUESTS,))
RECORDS_BY_SERVICE = View(
    "records_by_service",
    10 * SECOND_US,
    (SERVICE, ENDPOINT, STATUS),
    (Aggregate("records", "count"), RESPONSE_SUM),
)
TRAFFIC_BY_NETWORK = View("traffic_by_network", 60 * SECOND_US, (NETWORK,), (REQUESTS, VISITORS))

SHIPPED = (ENDPOINT_HEALTH, OVERALL_HEALTH, RECORDS_BY_SERVICE, STATUS_BY_ENDPOINT, TRAFFIC_BY_NETWORK)

SPREAD_SQL = """CREATE VIEW spread AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       endpoint,
       variance(response_ms) AS response_ms_var,
       stddev(response_ms) AS response_ms_dev,
       stddev(status) FILTER (WHERE status >= 500) AS failed_dev,
       bool_and(status < 500) AS all_well,
       bool_or(response_ms > 1000) AS some_slow,
       first(ip) AS first_ip,
       last(status) AS last_status,
       last(response_ms) FILTER (WHERE status >= 500) AS last_failed_ms,
       max(response_ms, 3) AS slowest
FROM logs
GROUP BY ALL
"""
SPREAD = View(
    "spread",
    10 * SECOND_US,
    (ENDPOINT,),
    (
        Aggregate("response_ms_var", "variance", _response, scale=3),
        Aggregate("response_ms_dev", "deviation", _response, scale=3),
        Aggregate("failed_dev", "deviation", lambda record: record.status, keep=_server_error),
        Aggregate("all_well", "all", lambda record: None if record.status is None else record.status < 500),
        Aggregate("some_slow", "any", lambda record: None if record.response is None else record.response > 1_000_000),
        Aggregate("first_ip", "first", lambda record: record.ip),
        Aggregate("last_status", "last", lambda record: record.status),
        Aggregate("last_failed_ms", "last", _response, keep=_server_error, scale=3),
        Aggregate("slowest", "largest", _response, scale=3, n=3),
    ),
)
"""A view that is not shipped, with the aggregates that no shipped one has; in SQL, and by hand."""
