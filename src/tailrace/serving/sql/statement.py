"""Is this one statement that only reads, and only what it may? Decided on the syntax tree of the engine's own parser.

Everything is refused that is not known: kinds of statement, of query, of table reference, table functions. The engine's locked
configuration is the second wall behind this one (`engine.py`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec

from tailrace.errors import Invalid, TooLarge
from tailrace.serving.sql.failures import invalid
from tailrace.serving.sql.functions import TABLE_FUNCTIONS, is_refused

SQL_BYTES_MAX = 1 << 20
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_REFERENCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)
_EXPLAIN = re.compile(r"EXPLAIN(\s+ANALYZE)?\s+(?=\S)", re.IGNORECASE)
_CTE_NAME = re.compile(r"[^/\\.:*?\[\]']+")
_READS_ONLY = "one SELECT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may run. `query`: what is to be planned, without EXPLAIN; the text itself otherwise.

    `names`: relations it reads, lower case, its own WITH names left out. `explains`: the answer is a plan. `lists_tables`: it
    shows what relations there are.
    """

    text: str
    query: str
    names: frozenset[str]
    explains: bool = False
    lists_tables: bool = False


class StatementCheck:
    """Holds a parser: a DuckDB with nothing in it. Any thread may ask."""

    def __init__(self) -> None:
        self._parser = duckdb.connect(config={"threads": 1, "enable_external_access": False})
        views = self._parser.execute("SELECT lower(view_name) FROM duckdb_views() WHERE internal").fetchall()
        self._engine_names = frozenset(str(name) for (name,) in views)
        self._parser.execute("SET lock_configuration = true")
        self._lock = threading.Lock()

    def check(self, sql: str) -> Statement:
        """Raises Invalid, with the parser's own words and position for what does not parse; TooLarge for very long text."""
        if len(sql.encode()) > SQL_BYTES_MAX:
            raise TooLarge(f"the statement is longer than `{SQL_BYTES_MAX}` bytes")
        text, explains = self._single(sql)
        tree = self._tree(text)
        names, own, lists_tables = set[str](), set[str](), False
        for node in _nodes(tree):
            _check_query(node)
            _check_function(node)
            if name := _own_name(node):
                own.add(name.lower())
            if is_reference(node):
                lists_tables |= _check_reference(node, names)
        self._check_own(own)
        if lists_tables and names:
            raise Invalid("SHOW TABLES stands alone", hint="send it as a statement of its own")
        return Statement(sql, text, frozenset(names - own), explains, lists_tables)

    def _single(self, sql: str) -> tuple[str, bool]:
        """The text to parse as a query, and whether the statement is an EXPLAIN of it."""
        with self._lock:
            try:
                statements = self._parser.extract_statements(sql)
            except duckdb.Error as error:
                raise invalid(error) from error
        if len(statements) != 1:
            raise Invalid(
                f"one statement at a time, not `{len(statements)}`" if statements else "there is no statement",
                hint=f"send {_READS_ONLY}",
            )
        (statement,) = statements
        kind, text = _kind(statement), statement.query
        if kind == "SELECT":
            return sql, False
        explain = _EXPLAIN.match(text)
        if kind != "EXPLAIN" or explain is None:
            raise Invalid(f"a statement of kind `{kind}` cannot be run here", hint=f"send {_READS_ONLY}")
        return text[explain.end() :], True

    def _tree(self, text: str) -> Any:
        with self._lock:
            encoded = self._parser.execute("SELECT json_serialize_sql($1)", [text]).fetchall()[0][0]
        try:
            tree = msgspec.json.decode(encoded)
        except RecursionError as error:
            raise Invalid("the statement is nested too deeply") from error
        if tree["error"]:
            raise Invalid(str(tree["error_message"]), hint=f"send {_READS_ONLY}")
        return tree["statements"]

    def _check_own(self, own: set[str]) -> None:
        """A WITH name that the engine knows as something else could be used where the WITH is out of sight."""
        for name in own:
            if name in self._engine_names or not _CTE_NAME.fullmatch(name):
                raise Invalid(f"`{name}` cannot be a name in WITH", hint="choose another name")


def _kind(statement: Any) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a kind that the engine has and its Python does not know
        return "UNKNOWN"


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of a tree, without recursion."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def is_reference(node: dict[str, Any]) -> bool:
    return "alias" in node and "sample" in node


def _check_query(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _QUERIES:
        raise Invalid(f"`{kind.removesuffix('_NODE').lower()}` cannot be run here", hint=f"send {_READS_ONLY}")


def _check_function(node: dict[str, Any]) -> None:
    if "function_name" not in node:
        return
    for name in (str(node["function_name"]), *_path(node)[-1:]):
        if is_refused(name.lower()):
            raise Invalid(f"function `{name}` cannot be used here", hint="it reaches beyond the data")


def _check_reference(node: dict[str, Any], names: set[str]) -> bool:
    """Adds the relation it names, if any; True if it lists relations."""
    kind = node["type"]
    if kind not in _REFERENCES:
        raise Invalid(f"a table reference of kind `{kind}` cannot be used here")
    if kind == "BASE_TABLE":
        path = _path(node)
        if len(path) != 1 or node.get("at_clause"):
            raise Invalid(f"`{'.'.join(path)}` cannot be read", hint="name a relation without a schema or version")
        names.add(path[0].lower())
    elif kind == "TABLE_FUNCTION":
        function = _path(node["function"])
        if len(function) != 1 or function[0].lower() not in TABLE_FUNCTIONS:
            raise Invalid(
                f"table function `{'.'.join(function)}` cannot be used here",
                hint=f"read `logs` or a view; of the table functions there are {', '.join(sorted(TABLE_FUNCTIONS))}",
            )
    elif kind == "SHOW_REF":
        return _check_show(node)
    return False


def _check_show(node: dict[str, Any]) -> bool:
    if node["show_type"] in ("DESCRIBE", "SUMMARY") and node.get("query"):
        return False
    if node["show_type"] == "SHOW_SPECIAL" and node["table_name"].strip('"').lower() == "tables":
        return True
    raise Invalid("only tables can be shown", hint="SHOW TABLES lists them, DESCRIBE logs names the columns")


def _own_name(node: dict[str, Any]) -> str | None:
    """The WITH name that an entry of a CTE map defines."""
    value = node.get("value")
    return str(node["key"]) if "key" in node and isinstance(value, dict) and "materialized" in value else None


def _path(node: dict[str, Any]) -> list[str]:
    return [str(part) for part in (node.get("qualified_name") or {}).get("path", [])]
