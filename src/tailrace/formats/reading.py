"""How the settings have lines read: what ingest and `tailrace formats try` share, so that both come to the same verdicts."""

from __future__ import annotations

from tailrace.config.settings import Settings
from tailrace.formats.base import Limits, Options


def limits_of(settings: Settings, now_us: int) -> Limits:
    ingest = settings.ingest
    ahead_of_us = now_us + ingest.future_max_s * 1_000_000 if ingest.future_max_s else None
    return Limits(ingest.line_bytes_max, ingest.depth_max, ahead_of_us)


def options_of(settings: Settings, key_field: str = "", response_time: str = "") -> Options:
    """`key_field`, `response_time`: what a request says, if anything."""
    return Options(key_field or settings.ingest.key_field, response_time, settings.endpoint_rules)
