"""DuckDB's SQL for a `CompiledView`: records -> states (partial), states -> states (merge), states -> result (finalize).

Statements are text and run nowhere here. They read relations by the name they are given, and hold no text of a user that has not
been parsed, checked and printed anew. The connection must have `SET TimeZone = 'UTC'`.
"""

from tailrace.views.dialects.duckdb.finalize import extent_statement, finalize_statement, rows_statement, tables_read
from tailrace.views.dialects.duckdb.merge import merge_statement
from tailrace.views.dialects.duckdb.partial import partial_statements
from tailrace.views.dialects.duckdb.schema import schemas

__all__ = [
    "extent_statement",
    "finalize_statement",
    "merge_statement",
    "partial_statements",
    "rows_statement",
    "schemas",
    "tables_read",
]
