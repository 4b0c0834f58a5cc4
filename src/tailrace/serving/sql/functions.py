"""Which of the engine's functions users' SQL may call.

Table functions: only those listed, since nearly all of the engine's read files, settings or its own innards. Scalar functions and
aggregates: all but those listed, which reach a setting, the catalog, the process, or memory the engine trusts its caller about.
A test reads the engine's own list of functions and fails when an upgrade brings one that these rules have not seen.
"""

from __future__ import annotations

TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})

_SETTINGS_AND_STATE = {
    "current_setting",
    "getvariable",
    "setseed",
    "nextval",
    "currval",
    "setval",
    "write_log",
    "parse_duckdb_log_message",
    "stats",
    "get_block_size",
    "in_search_path",
    "current_query",
    "current_query_id",
    "current_connection_id",
    "current_transaction_id",
    "txid_current",
}
_CATALOG = {"col_description", "obj_description", "shobj_description", "format_pg_type", "format_type", "map_to_pg_oid"}
_SQL_AS_TEXT = {"json_serialize_plan", "json_serialize_sql", "json_deserialize_sql"}
_TRUSTED_BYTES = {"combine", "finalize", "to_aggregate_state", "create_sort_key", "variant_bytes_to_variant", "invoke"}
_WAITING = {"sleep_ms"}

_REFUSED = _SETTINGS_AND_STATE | _CATALOG | _SQL_AS_TEXT | _TRUSTED_BYTES | _WAITING
_REFUSED_PREFIXES = ("pg_", "inet_", "has_")
_ALLOWED_IN_SPITE = frozenset({"pg_typeof", "pg_size_pretty"})


def is_refused(function: str) -> bool:
    """Whether a scalar function or aggregate of that name (lower case) may not be called."""
    if function in _ALLOWED_IN_SPITE:
        return False
    return function in _REFUSED or function.startswith(_REFUSED_PREFIXES)
