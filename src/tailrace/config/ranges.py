"""What each setting may be, by `section.name`. Limits are where the product stops making sense, not where it stops being fast."""

from __future__ import annotations

import re

_MIB = 1 << 20
_DAY_S = 86_400

RANGES: dict[str, tuple[int, int]] = {
    "stream.shards": (1, 256),
    "stream.seal_interval_ms": (100, 600_000),
    "stream.file_interval_s": (60, 7 * _DAY_S),
    "stream.dedupe_horizon_s": (60, 30 * _DAY_S),
    "stream.queue_bytes_max": (_MIB, 64 << 30),
    "stream.commit_bytes_max": (64 << 10, 1 << 30),
    "ingest.processes": (0, 64),
    "ingest.body_bytes_max": (1 << 10, 1 << 30),
    "ingest.line_bytes_max": (64, 1 << 30),
    "ingest.depth_max": (1, 512),
    "ingest.in_flight_max": (1, 4096),
    "ingest.disk_percent_max": (1, 100),
    "ingest.disk_free_bytes_enough": (0, 1 << 50),
    "ingest.future_max_s": (0, 3650 * _DAY_S),
    "speed.poll_ms": (5, 10_000),
    "speed.keys_max": (1_000, 1_000_000_000),
    "batch.interval_ms": (500, _DAY_S * 1000),
    "batch.nice": (0, 19),
    "batch.compact_segments_min": (2, 1000),
    "retention.stream_age_s": (0, 3650 * _DAY_S),
    "retention.stream_bytes_max": (0, 1 << 50),
    "retention.lake_age_s": (0, 3650 * _DAY_S),
    "retention.lake_bytes_max": (0, 1 << 50),
    "retention.dead_letters_age_s": (0, 3650 * _DAY_S),
    "retention.dead_letters_bytes_max": (0, 1 << 50),
    "retention.states_fine_age_s": (0, 3650 * _DAY_S),
    "retention.states_minute_age_s": (0, 3650 * _DAY_S),
    "retention.states_age_s": (0, 3650 * _DAY_S),
    "retention.states_bytes_max": (0, 1 << 50),
    "access.session_s": (60, 365 * _DAY_S),
    "access.session_idle_s": (1, 365 * _DAY_S),
    "query.timeout_s": (1, _DAY_S),
    "query.memory_bytes_max": (64 * _MIB, 1 << 40),
    "query.rows_max": (1, 10_000_000),
}

TEXTS: dict[str, tuple[re.Pattern[str], str]] = {
    "stream.name": (re.compile(r"[a-z][a-z0-9_-]{0,62}"), "a name of lower case letters, digits, _ and -"),
    "kinesis.account_id": (re.compile(r"[0-9]{12}"), "twelve digits"),
    "kinesis.region": (re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]"), "the name of a region of AWS, such as us-east-1"),
    "kinesis.id_field": (re.compile(r".{0,256}"), "the name of a field, or empty"),
    "ingest.format": (re.compile(r".+"), "the name of a format"),
    "ingest.key_field": (re.compile(r".+"), "the name of a field"),
}
"""Pattern, and how to say it."""

SWITCHES = frozenset({"access.login_required"})
"""Those that are true or false."""
