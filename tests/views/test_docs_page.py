"""docs/views.md says what the compiler does: its examples compile, its lists are whole, what it calls refused is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tailrace.errors import ViewError
from tailrace.model.fields import DEFAULT_FIELDS
from tailrace.views import compile_view
from tailrace.views.aggregates import AGGREGATE_NAMES
from tailrace.views.bind import KEYS_MAX
from tailrace.views.functions import SCALAR_NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "views.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_examples_compile() -> None:
    examples = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert [compile_view(sql, DEFAULT_FIELDS).name for sql in examples] == ["slow_by_ip"]


@pytest.mark.parametrize("name", [*SCALAR_NAMES, *AGGREGATE_NAMES])
def test_every_function_is_listed(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", code.lower()) for code in CODE)


def test_every_default_field_is_listed() -> None:
    assert set(DEFAULT_FIELDS.names) <= CODE


def test_limits_are_those_of_the_compiler() -> None:
    assert f"at most {KEYS_MAX}" in PAGE


@pytest.mark.parametrize(
    "row", re.findall(r"^\| (`.*?) \|", PAGE.split("## What is refused")[1].split("\n## ")[0], re.MULTILINE)
)
def test_what_is_called_refused_is_refused(row: str) -> None:
    """Each aggregate or function of the table, as a column; the rest of the table has tests of its own."""
    for name in re.findall(r"`([a-z_]+)(?:\([^`]*\))?`", row):
        if name == "timestamp" or name in AGGREGATE_NAMES:
            continue
        for arguments in ("", "response_ms", "response_ms, 0.5"):
            with pytest.raises(ViewError):
                compile_view(
                    "CREATE VIEW v AS SELECT time_bucket(INTERVAL '1 day', timestamp) AS w, "
                    f"{name}({arguments}) AS n FROM logs GROUP BY ALL",
                    DEFAULT_FIELDS,
                )
