"""Rows of a view as text, one JSON array a line: exact, easy to read in a diff. Used for both sides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tailrace.serving.merge import ViewQuery
from tests.oracle.lines import Record
from tests.oracle.model import View, expected_rows
from tests.oracle.wire import window_text


def answer_text(answers: Mapping[str, tuple[list[str], list[tuple[Any, ...]]]]) -> str:
    """One block a query: its name, the columns, the rows."""
    blocks = []
    for name, (columns, rows) in answers.items():
        blocks.append("\n".join([f"# {name}", _line(columns), *(_line([window_text(r[0]), *r[1:]]) for r in rows)]))
    return "\n\n".join(blocks) + "\n"


def model_text(view: View, records: Sequence[Record], queries: Mapping[str, ViewQuery]) -> str:
    return answer_text(
        {
            name: (
                view.columns,
                expected_rows(view, records, step_us=query.step_us, over_us=query.over_us, total=query.total),
            )
            for name, query in queries.items()
        }
    )


def _line(values: Sequence[Any]) -> str:
    return f"[{','.join(_value(value) for value in values)}]"


def _value(value: Any) -> str:
    """Decimals with all their digits, floats as the shortest text that names them."""
    if isinstance(value, list):
        return _line(value)
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
