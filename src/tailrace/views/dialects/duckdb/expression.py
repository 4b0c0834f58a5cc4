"""Prints checked expressions as DuckDB SQL. Every column is read through the alias `r`, so no alias can be mistaken for it."""

from __future__ import annotations

from tailrace.model.fields import EXTRA
from tailrace.views.dialects.duckdb.network import network_sql
from tailrace.views.expression import Call, Column, Expression, ExtraText, Literal, Type

ROW = "r"

_BINARY = {
    "eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "same": "IS NOT DISTINCT FROM", "distinct": "IS DISTINCT FROM",
    "like": "LIKE", "ilike": "ILIKE",
    "add": "+", "sub": "-", "mul": "*", "idiv": "//", "mod": "%",
    "and": "AND", "or": "OR", "join": "||",
}  # fmt: skip
_ARITHMETIC = frozenset({"add", "sub", "mul", "idiv", "mod", "neg", "abs"})
_FUNCTIONS = frozenset(
    {"lower", "upper", "length", "substr", "left", "right", "replace", "split_part", "starts_with", "ends_with", "contains",
     "regexp_matches", "regexp_full_match", "regexp_extract", "regexp_replace", "concat", "trim", "ltrim", "rtrim", "coalesce"}
)  # fmt: skip
_INTEGER_TEXT = "[-+]?[0-9]{1,18}"
_DECIMAL_TEXT = r"[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,3})?"


def quoted(name: str) -> str:
    """A name as an identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def print_expression(expression: Expression) -> str:
    """SQL of the type `expression.type.sql`, or of one that compares and groups the same."""
    match expression:
        case Column(name, _):
            return f"{ROW}.{quoted(name)}"
        case ExtraText(path):
            return f"TRY({ROW}.{quoted(EXTRA)} ->> {text_literal(_json_pointer(path))})"
        case Literal():
            return _literal(expression)
        case Call(op, args, type_):
            return _call(op, args, type_)


def _json_pointer(path: tuple[str, ...]) -> str:
    """RFC 6901, so that a key with `.` or `$` is only a key."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def _literal(literal: Literal) -> str:
    value = literal.value
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return text_literal(value)
    if literal.type.kind == "integer":
        return str(value) if value >= 0 else f"({value})"
    scale = literal.type.scale
    digits = str(abs(value)).rjust(scale + 1, "0")
    number = f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}" if scale else str(value)
    return f"CAST({number} AS {literal.type.sql})"


def _call(op: str, args: tuple[Expression, ...], type_: Type) -> str:
    printed = [_operand(a, type_) for a in args] if op in _ARITHMETIC else [print_expression(a) for a in args]
    if op in _BINARY:
        return "(" + f" {_BINARY[op]} ".join(printed) + ")"
    if op in _FUNCTIONS:
        return f"{op}({', '.join(printed)})"
    first = printed[0]
    match op:
        case "not":
            return f"(NOT {first})"
        case "is_null":
            return f"({first} IS NULL)"
        case "in":
            return f"({first} IN ({', '.join(printed[1:])}))"
        case "neg":
            return f"(- {first})"
        case "abs":
            return f"abs({first})"
        case "case":
            pairs = zip(printed[:-1:2], printed[1:-1:2], strict=True)
            branches = " ".join(f"WHEN {condition} THEN {value}" for condition, value in pairs)
            return f"(CASE {branches} ELSE {printed[-1]} END)"
        case "widen":
            return f"CAST({first} AS {type_.sql})"
        case "narrow":
            return f"TRY_CAST({first} AS {type_.sql})"
        case "to_text":
            return f"CAST({first} AS VARCHAR)"
        case "to_integer":
            return f"(CASE WHEN regexp_full_match({first}, '{_INTEGER_TEXT}') THEN TRY_CAST({first} AS BIGINT) END)"
        case "to_decimal":
            cast = f"TRY_CAST({first} AS {type_.sql})"
            if args[0].type.kind != "text":
                return cast
            return f"(CASE WHEN regexp_full_match({first}, '{_DECIMAL_TEXT}') THEN {cast} END)"
        case "pair":
            return f"(CASE WHEN {printed[1]} IS NOT NULL THEN {{'us': epoch_us({first}), 'value': {printed[1]}}} END)"
        case "network":
            return network_sql(first)
    raise AssertionError(f"no SQL for `{op}`")


def _operand(operand: Expression, result: Type) -> str:
    """An operand of arithmetic, wide enough for the result that was proven to fit."""
    wide = "BIGINT" if result.kind == "integer" else f"DECIMAL(38,{operand.type.scale})"
    if isinstance(operand, Literal) and result.kind == "integer":
        return print_expression(operand)
    if isinstance(operand, Call) and operand.op in _ARITHMETIC and operand.type.sql == wide:
        return print_expression(operand)
    return f"CAST({print_expression(operand)} AS {wide})"
