"""Kinesis Analytics SQL into streams and views of ours, for applications that were switched off. Used by `tailrace import`.

text -> statements -> selects (tokens rewritten where the SQL is that dialect's alone) -> streams and views, and a report
"""

from __future__ import annotations

from tailrace.views.kinesis_analytics.convert import Converted, convert
from tailrace.views.kinesis_analytics.mapping import Mapping, read_schema
from tailrace.views.kinesis_analytics.report import Finding, Kind

__all__ = ["Converted", "Finding", "Kind", "Mapping", "convert", "read_schema"]
