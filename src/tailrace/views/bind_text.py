"""Text: functions of the whitelist, concatenation, trimming, casts, and the text values in `extra`."""

from __future__ import annotations

import re

from sqlglot import exp

from tailrace.model.fields import EXTRA
from tailrace.views.bind_number import SCALE_MAX
from tailrace.views.binder import Binder
from tailrace.views.expression import RAW_MAX, TEXT, Call, Expression, ExtraText, Literal, Type, integer
from tailrace.views.functions import TextFunction
from tailrace.views.parse import printed
from tailrace.views.patterns import pattern_problem

_REGEXP_FLAGS = re.compile(r"[gi]*")
_CHARS_MAX = 1_000_000


def bind_text_function(binder: Binder, node: exp.Expr, function: TextFunction) -> Expression:
    """A call of `function`. Raises ViewError for a wrong number or kind of arguments."""
    if isinstance(node, exp.RegexpLike) and not binder.source.is_call(node):
        # DuckDB's `~` matches the whole text, other engines' a part of it.
        raise binder.error(
            "`~` is not supported", node, "write regexp_matches(text, 'p'), or regexp_full_match for the whole text"
        )
    if isinstance(node, exp.Anonymous):
        given = list(node.expressions)
    else:
        binder.only(node, *function.slots)
        given = [node.args.get(slot) for slot in function.slots]
        while given and given[-1] is None:
            given.pop()
    least = len(function.takes) - function.optional
    if not least <= len(given) <= len(function.takes) or None in given:
        raise binder.error(f"`{binder.word(node)}` has the wrong number of arguments", node, f"write {function.usage}")
    arguments = tuple(_argument(binder, a, k, function) for a, k in zip(given, function.takes, strict=False))
    if "p" in function.takes:
        _check_pattern(binder, given, arguments, function)
    return Call(function.op, arguments, function.result)


def _check_pattern(
    binder: Binder, given: list[exp.Expr], arguments: tuple[Expression, ...], function: TextFunction
) -> None:
    """A pattern that cannot be used must fail here, not when a record comes."""
    texts = {k: str(a.value) for k, a in zip(function.takes, arguments, strict=False) if isinstance(a, Literal)}
    at = function.takes.index("p")
    problem = pattern_problem(texts["p"], texts.get("r"))
    if problem is not None:
        raise binder.error(f"the pattern `{texts['p']}` cannot be used: {problem}", given[at], "the syntax is RE2's")
    groups = arguments[2] if function.op == "regexp_extract" and len(arguments) > 2 else None
    if isinstance(groups, Literal) and not 0 <= int(str(groups.value)) <= 9:
        raise binder.error("the group must be 0 to 9", given[2], f"for example {function.usage}")


def _argument(binder: Binder, node: exp.Expr, kind: str, function: TextFunction) -> Expression:
    if kind == "t":
        return binder.text(node)
    literal = binder.bind(node)
    if not isinstance(literal, Literal):
        raise binder.error(
            f"this argument of `{function.op}` must be written out", node, f"for example {function.usage}"
        )
    if kind == "i":
        if literal.type.kind != "integer" or literal.type.bound > _CHARS_MAX:
            raise binder.error("a whole number is needed", node, f"for example {function.usage}")
        return literal
    if literal.type.kind != "text":
        raise binder.error("a text in quotes is needed", node, f"for example {function.usage}")
    if function.op == "regexp_replace" and kind == "s" and not _REGEXP_FLAGS.fullmatch(str(literal.value)):
        raise binder.error(f"flags `{literal.value}` are not known", node, "'g' replaces all matches, 'i' ignores case")
    return literal


def bind_concat(binder: Binder, node: exp.Expr) -> Expression:
    """`a || b` is NULL if one part is; `concat(a, b)` leaves NULLs out."""
    if isinstance(node, exp.DPipe):
        binder.only(node, "this", "expression")
        return Call("join", tuple(binder.text(p) for p in node.flatten(unnest=False)), TEXT)
    binder.only(node, "expressions")
    return Call("concat", tuple(binder.text(p) for p in node.expressions), TEXT)


def bind_trim(binder: Binder, node: exp.Expr) -> Expression:
    binder.only(node, "this", "expression")
    op = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    characters = node.args.get("expression")
    if characters is None:
        return Call(op, (binder.text(node.this),), TEXT)
    if not (isinstance(characters, exp.Literal) and characters.is_string):
        raise binder.error("the characters to trim must be a text in quotes", characters)
    return Call(op, (binder.text(node.this), Literal(characters.name, TEXT)), TEXT)


def bind_cast(binder: Binder, node: exp.Expr) -> Expression:
    """CAST, TRY_CAST and `::` are the same: what cannot be converted becomes NULL, since one record must not fail a view."""
    binder.only(node, "this", "to")
    operand = binder.bind(node.this)
    to = node.args["to"]
    kind, sizes = to.this, [int(p.name) for p in to.expressions if p.name.isascii() and p.name.isdigit()]
    if kind in (exp.DType.TEXT, exp.DType.VARCHAR) and not sizes:
        if operand.type.kind == "timestamp":
            raise binder.error("a timestamp cannot be cast to text", node, "time is in the window")
        return operand if operand.type.kind == "text" else Call("to_text", (operand,), TEXT)
    if operand.type.kind not in ("text", "integer", "decimal", "null"):
        raise binder.error(f"{operand.type.kind} cannot be cast to a number", node)
    if kind in (exp.DType.INT, exp.DType.BIGINT):
        if operand.type.kind == "decimal":
            raise binder.error(
                "a decimal cannot be cast to a whole number", node, "compare it, or group it with CASE WHEN"
            )
        return operand if operand.type.kind == "integer" else Call("to_integer", (operand,), integer(RAW_MAX))
    if kind is exp.DType.DECIMAL and len(sizes) == 2 and sizes[1] <= sizes[0] <= 18 and sizes[1] <= SCALE_MAX:
        digits, scale = sizes
        return Call("to_decimal", (operand,), Type("decimal", f"DECIMAL({digits},{scale})", scale, 10**digits - 1))
    raise binder.error(
        f"a cast to `{printed(to)}` is not supported", node, "VARCHAR, INTEGER, BIGINT and DECIMAL(18, s) are"
    )


def bind_extra(binder: Binder, node: exp.Expr) -> Expression:
    """`extra['key']`, `extra['a']['b']` or `extra->>'key'`: the value as text."""
    if isinstance(node, exp.JSONExtract) and not isinstance(node, exp.JSONExtractScalar):
        raise binder.error(
            "`->` gives JSON, which cannot be grouped or counted", node, "write extra->>'key' or extra['key']"
        )
    path: list[str] = []
    at: exp.Expr = node
    while isinstance(at, exp.Bracket):
        key = at.expressions[0] if len(at.expressions) == 1 else None
        if not (isinstance(key, exp.Literal) and key.is_string and key.name):
            raise binder.error(
                "a key in quotes is needed in the brackets", node, "write for example extra['user_agent']"
            )
        path.insert(0, key.name)
        at = at.this
    if isinstance(at, exp.JSONExtractScalar):
        path.insert(0, _arrow_key(binder, at))
        at = at.this
    if not (isinstance(at, exp.Column) and at.name.lower() == EXTRA):
        raise binder.error("only `extra` holds further values", node, "write for example extra['user_agent']")
    if not binder.scope.has_extra:
        message, hint = binder.scope.unknown(EXTRA)
        raise binder.error(message, node, hint)
    return ExtraText(tuple(path))


def _arrow_key(binder: Binder, node: exp.JSONExtractScalar) -> str:
    """The key as written: the parser would read `a.b` as a path, DuckDB reads it as one key."""
    begin = binder.source.offset(node.this)
    written = next((t for t in binder.source.tokens if t.start > begin and t.token_type.name == "STRING"), None)
    if not isinstance(node.expression, exp.JSONPath | exp.Literal) or written is None or not written.text:
        raise binder.error("a key in quotes is needed", node, "write for example extra->>'user_agent'")
    if written.text[0] in "$/":
        raise binder.error("paths are not supported here", node, "write extra['a']['b'] for a value inside a value")
    return written.text
