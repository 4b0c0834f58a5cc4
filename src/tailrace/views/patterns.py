"""Whether a regular expression can be used, asked of the engine that will run it (RE2, as DuckDB has it)."""

from __future__ import annotations

import duckdb


def pattern_problem(pattern: str, replacement: str | None = None) -> str | None:
    """What is wrong with the pattern, or with a replacement that refers to its groups; None if nothing is."""
    with duckdb.connect(config={"threads": 1}) as connection:
        try:
            connection.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
            if replacement is not None:
                # The empty alternative makes it match, so that the replacement is read.
                connection.execute("SELECT regexp_replace('', ?, ?)", [f"(?:{pattern})|", replacement]).fetchall()
        except duckdb.Error as error:
            return str(error).splitlines()[0].split("Error: ", 1)[-1]
    return None
