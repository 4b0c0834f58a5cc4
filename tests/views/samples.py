"""Views written twice, in SQL and in Python, and records that try their edges."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from decimal import Decimal

from hypothesis import strategies as st

from tests.views.plain import Aggregate, PlainView
from tests.views.rig import SECOND_US, Record

MS = 3
HUGE = Decimal("999999999999999.999")
"""Largest value of the field response_ms."""


def network(address: str | None) -> str | None:
    if address is None or "%" in address:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, prefix), strict=False))


def failed(record: Record) -> bool | None:
    return None if record.status is None else record.status >= 500


EVERYTHING = PlainView(
    """
    CREATE VIEW everything AS
    SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
           endpoint,
           status,
           count(*) AS n,
           count(response_ms) AS timed,
           count(*) FILTER (WHERE status >= 500) AS failed,
           sum(response_ms) AS total,
           avg(response_ms) AS mean,
           min(response_ms) AS least,
           max(response_ms) AS most,
           quantile(response_ms, 0.5) AS p50,
           quantile(response_ms, 0.99) AS p99,
           quantile(response_ms, 0) AS p0,
           quantile(response_ms, 1) AS p100,
           quantile(status, 0.9) AS status_p90,
           sum(status) AS status_sum,
           avg(response_ms) FILTER (WHERE status >= 500) AS failed_mean,
           quantile(response_ms, 0.25) FILTER (WHERE status >= 500) AS failed_p25,
           approx_count_distinct(ip) AS visitors,
           approx_count_distinct(response_ms) AS times,
           approx_count_distinct(ip) FILTER (WHERE status >= 500) AS unlucky,
           min(ip) AS first_ip,
           max(service) AS last_service
    FROM logs
    GROUP BY ALL
    """,
    10 * SECOND_US,
    (lambda r: r.endpoint, lambda r: r.status),
    (
        Aggregate("n", "count"),
        Aggregate("timed", "count", lambda r: r.response_ms),
        Aggregate("failed", "count", None, failed),
        Aggregate("total", "sum", lambda r: r.response_ms, scale=MS),
        Aggregate("mean", "avg", lambda r: r.response_ms, scale=MS),
        Aggregate("least", "min", lambda r: r.response_ms),
        Aggregate("most", "max", lambda r: r.response_ms),
        Aggregate("p50", "quantile", lambda r: r.response_ms, scale=MS),
        Aggregate("p99", "quantile", lambda r: r.response_ms, scale=MS, quantile="0.99"),
        Aggregate("p0", "quantile", lambda r: r.response_ms, scale=MS, quantile="0"),
        Aggregate("p100", "quantile", lambda r: r.response_ms, scale=MS, quantile="1"),
        Aggregate("status_p90", "quantile", lambda r: r.status, quantile="0.9"),
        Aggregate("status_sum", "sum", lambda r: r.status),
        Aggregate("failed_mean", "avg", lambda r: r.response_ms, failed, MS),
        Aggregate("failed_p25", "quantile", lambda r: r.response_ms, failed, MS, "0.25"),
        Aggregate("visitors", "distinct", lambda r: r.ip),
        Aggregate("times", "distinct", lambda r: r.response_ms),
        Aggregate("unlucky", "distinct", lambda r: r.ip, failed),
        Aggregate("first_ip", "min", lambda r: r.ip),
        Aggregate("last_service", "max", lambda r: r.service),
    ),
)

NETWORKS = PlainView(
    """
    CREATE VIEW networks AS
    SELECT time_bucket(INTERVAL '1 minute', timestamp) AS w,
           network(ip) AS network,
           extra['app']['name'] AS app,
           count(*) AS n,
           sum(response_ms) AS total,
           quantile(response_ms, 0.5) AS p50,
           approx_count_distinct(ip) AS visitors,
           approx_count_distinct(lower(endpoint)) AS endpoints
    FROM logs
    WHERE status IS NULL OR status <> 404
    GROUP BY ALL
    """,
    60 * SECOND_US,
    (lambda r: network(r.ip), lambda r: None if r.extra is None else r.extra.get("app", {}).get("name")),
    (
        Aggregate("n", "count"),
        Aggregate("total", "sum", lambda r: r.response_ms, scale=MS),
        Aggregate("p50", "quantile", lambda r: r.response_ms, scale=MS),
        Aggregate("visitors", "distinct", lambda r: r.ip),
        Aggregate("endpoints", "distinct", lambda r: None if r.endpoint is None else r.endpoint.lower()),
    ),
    where=lambda r: r.status is None or r.status != 404,
)

KEYLESS = PlainView(
    """
    CREATE VIEW keyless AS
    SELECT time_bucket(INTERVAL '1 day', timestamp) AS day,
           sum(response_ms * 0.5 - 0.25) AS half,
           max(-status) AS least_status,
           quantile(abs(response_ms) * 3, 0.75) AS p75,
           avg(status % 7 + 1) AS odd
    FROM logs
    GROUP BY ALL
    """,
    86_400 * SECOND_US,
    (),
    (
        Aggregate("half", "sum", lambda r: _fitting(r.response_ms, lambda x: x * 5 / 10 - Decimal("0.25"), 4), scale=4),
        Aggregate("least_status", "max", lambda r: None if r.status is None else -r.status),
        Aggregate(
            "p75", "quantile", lambda r: _fitting(r.response_ms, lambda x: abs(x) * 3, MS), scale=MS, quantile="0.75"
        ),
        Aggregate("odd", "avg", lambda r: None if r.status is None else _remainder(r.status, 7) + 1),
    ),
)

SPREAD = PlainView(
    """
    CREATE VIEW spread AS
    SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
           lower(endpoint) AS endpoint,
           stddev(response_ms) AS deviation,
           stddev_pop(response_ms) AS deviation_pop,
           variance(response_ms) AS var,
           var_pop(response_ms) AS var_all,
           var_samp(status) FILTER (WHERE status >= 500) AS status_var,
           stddev_samp(CAST(status % 1000 AS DECIMAL(9,2))) AS small,
           bool_and(status < 500) AS all_well,
           bool_or(lower(endpoint) = '/a') FILTER (WHERE status IS NOT NULL) AS some_a,
           first(ip) AS first_ip,
           last(response_ms) AS last_time,
           arg_max(lower(service), timestamp) FILTER (WHERE status >= 500) AS last_failed,
           arg_min(status, timestamp) AS first_status,
           max(response_ms, 3) AS slowest,
           min(status, 2) FILTER (WHERE status <> 404) AS lowest,
           max(response_ms * 2, 100) AS all_times
    FROM logs
    GROUP BY ALL
    """,
    10 * SECOND_US,
    (lambda r: None if r.endpoint is None else r.endpoint.lower(),),
    (
        Aggregate("deviation", "stddev_samp", lambda r: r.response_ms, scale=MS),
        Aggregate("deviation_pop", "stddev_pop", lambda r: r.response_ms, scale=MS),
        Aggregate("var", "var_samp", lambda r: r.response_ms, scale=MS),
        Aggregate("var_all", "var_pop", lambda r: r.response_ms, scale=MS),
        Aggregate("status_var", "var_samp", lambda r: r.status, failed),
        Aggregate(
            "small", "stddev_samp", lambda r: None if r.status is None else Decimal(_remainder(r.status, 1000)), scale=2
        ),
        Aggregate("all_well", "bool_and", lambda r: None if r.status is None else r.status < 500),
        Aggregate(
            "some_a",
            "bool_or",
            lambda r: None if r.endpoint is None else r.endpoint.lower() == "/a",
            lambda r: r.status is not None,
        ),
        Aggregate("first_ip", "first", lambda r: r.ip),
        Aggregate("last_time", "last", lambda r: r.response_ms),
        Aggregate("last_failed", "last", lambda r: None if r.service is None else r.service.lower(), failed),
        Aggregate("first_status", "first", lambda r: r.status),
        Aggregate("slowest", "max_n", lambda r: r.response_ms, n=3),
        Aggregate("lowest", "min_n", lambda r: r.status, lambda r: r.status is not None and r.status != 404, n=2),
        Aggregate("all_times", "max_n", lambda r: _fitting(r.response_ms, lambda x: x * 2, MS), n=100),
    ),
)

ALL = (EVERYTHING, NETWORKS, KEYLESS, SPREAD)


def _fitting(value: Decimal | None, function: Callable[[Decimal], Decimal], scale: int) -> Decimal | None:
    """A computed decimal that needs more than 18 digits is NULL."""
    if value is None:
        return None
    made = function(value)
    return made if abs(made.scaleb(scale)) < 10**18 else None


def _remainder(value: int, divisor: int) -> int:
    """SQL's remainder has the sign of the value."""
    return abs(value) % divisor * (1 if value >= 0 else -1)


def _instants() -> st.SearchStrategy[int]:
    """Around window edges, on both sides of 1970."""
    edges = st.builds(
        lambda window, offset: window * 10 * SECOND_US + offset,
        st.sampled_from([-8_641, -1, 0, 1, 6, 179_000_000, 179_000_001, 179_000_006]),
        st.sampled_from([0, 1, 4_999_999, 9_999_999]),
    )
    return edges | st.integers(-62_135_596_800 * SECOND_US, 253_402_300_799 * SECOND_US)


def _times() -> st.SearchStrategy[Decimal]:
    edges = [0, 1, 63, 64, 127, 128, 129, 255, 256, 10**15 - 1, 10**15, 10**15 + 1, 10**18 - 1]
    raw = (
        st.sampled_from([*edges, *(-e for e in edges)])
        | st.integers(-(10**18) + 1, 10**18 - 1)
        | st.integers(-300, 900_000)
    )
    return raw.map(lambda units: Decimal(units).scaleb(-MS))


def records() -> st.SearchStrategy[Record]:
    return st.builds(
        Record,
        at_us=_instants(),
        service=st.none() | st.sampled_from(["shop", "Shop", "école"]),
        endpoint=st.none() | st.sampled_from(["", "/a", "/A", "/b{id}", "k0", "ünï", "it's"]),
        status=st.none() | st.sampled_from([200, 404, 500, 503, -1, 0, 2**31 - 1, -(2**31)]),
        response_ms=st.none() | _times(),
        ip=st.none()
        | st.sampled_from(
            ["203.0.113.9", "203.0.113.10", "2001:DB8:1::9", "::", "::ffff:203.0.113.77", "999.1.1.1", "-"]
        )
        | st.ip_addresses().map(str),
        extra=st.none() | st.sampled_from([{"app": {"name": "web"}}, {"app": {"name": None}}, {"app": {}}, {"x": 1}]),
    )


def batches(most: int = 24) -> st.SearchStrategy[list[Record]]:
    return st.lists(records(), max_size=most)
