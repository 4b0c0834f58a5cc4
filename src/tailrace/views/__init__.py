"""Views: SQL that is compiled into mergeable states, and streams to read them from.

Passes in order: parse, check_mergeable, bind, plan; `dialects` print plans. Called by speed, batch and serving. It runs no view
itself and reads no records.
"""

from tailrace.views.compile import compile_view, compiled_or_none
from tailrace.views.folder import load_folder, shipped_views
from tailrace.views.plan import CompiledView, KeyColumn, OutputColumn, ScalarState
from tailrace.views.stream import CompiledStream, compile_stream

__all__ = [
    "CompiledStream",
    "CompiledView",
    "KeyColumn",
    "OutputColumn",
    "ScalarState",
    "compile_stream",
    "compile_view",
    "compiled_or_none",
    "load_folder",
    "shipped_views",
]
