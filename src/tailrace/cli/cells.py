"""Values as the text of a table's cell."""

from __future__ import annotations

from typing import Any

from rich.text import Text


def cell(value: Any) -> Text:
    """Null is shown as such; whole numbers with thousands apart; everything else as it came."""
    if value is None:
        return Text("null", style="dim")
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float):
        return Text(f"{value:,.3f}")
    if isinstance(value, list):
        return Text(", ").join(cell(item) for item in value)
    return Text(str(value))


def is_number(sql_type: str) -> bool:
    """Whether a column of this SQL type is set to the right."""
    name = sql_type.upper()
    return (
        name.startswith(("DECIMAL", "DOUBLE", "FLOAT", "REAL", "HUGEINT", "UHUGEINT"))
        or name.endswith("INT")
        or name == "INTEGER"
    )
