"""The names of Tailrace's own metrics: one place, so that dashboards and docs can rely on them.

Kept by a process that serves requests; added to by `registry`. Prometheus' rules: base units, counters end in `_total`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """`labels`: names, in the order in which values are given. `bounds`: upper bounds of a histogram's buckets, ascending."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

INGEST_POSTS = Metric("tailrace_ingest_posts_total", Kind.COUNTER, "Posts of log lines, by HTTP status.", ("status",))
INGEST_LINES = Metric(
    "tailrace_ingest_lines_total", Kind.COUNTER, "Lines acknowledged, by what became of them.", ("outcome",)
)
INGEST_DEAD_LETTERS = Metric(
    "tailrace_ingest_dead_letters_total", Kind.COUNTER, "Dead letters, by verdict.", ("verdict",)
)
INGEST_BYTES = Metric("tailrace_ingest_body_bytes_total", Kind.COUNTER, "Bytes of accepted bodies, decompressed.")
INGEST_DECODE_SECONDS = Metric(
    "tailrace_ingest_decode_seconds", Kind.HISTOGRAM, "Time to decode and divide one post.", (), SECONDS
)
INGEST_STORE_SECONDS = Metric(
    "tailrace_ingest_store_seconds", Kind.HISTOGRAM, "Time from a decoded post to its being durable.", (), SECONDS
)
INGEST_IN_FLIGHT = Metric("tailrace_ingest_posts_in_flight", Kind.GAUGE, "Posts being decoded or stored.")
INGEST_HELD_BYTES = Metric("tailrace_ingest_held_bytes", Kind.GAUGE, "Bytes of bodies held in memory.")
INGEST_DISK_FREE_BYTES = Metric(
    "tailrace_ingest_disk_free_bytes", Kind.GAUGE, "Bytes free on the disk of the data folder."
)
KINESIS_REQUESTS = Metric(
    "tailrace_kinesis_requests_total",
    Kind.COUNTER,
    "Requests to the Kinesis API, by operation and by the error that was answered (none: empty).",
    ("operation", "error"),
)
KINESIS_FAILED_RECORDS = Metric(
    "tailrace_kinesis_failed_records_total", Kind.COUNTER, "Records of PutRecords that were answered with an error."
)
KINESIS_DROPPED = Metric(
    "tailrace_kinesis_dropped_sub_records_total",
    Kind.COUNTER,
    "Sub-records of packed records that were left out: another shard than the packed record's owns their hash key.",
)
PIN_READS = Metric(
    "tailrace_pin_reads_total",
    Kind.COUNTER,
    "Pins looked up, by what came of computing them again: equal, differs, archived, unchecked.",
    ("outcome",),
)
GATEWAY_REQUESTS = Metric(
    "tailrace_gateway_requests_total", Kind.COUNTER, "Requests passed to the node, by HTTP status.", ("status",)
)
ACCESS_REFUSED = Metric(
    "tailrace_access_refused_total", Kind.COUNTER, "Requests refused at the door, by HTTP status.", ("status",)
)
