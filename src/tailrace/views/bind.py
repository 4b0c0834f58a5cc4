"""Syntax tree -> plan: which columns are the window, the keys and the aggregates, and what each is made of."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from tailrace.model.fields import Fields
from tailrace.views.aggregates import AGGREGATE_NAMES, AGGREGATES, AggregateCall, StateCollector
from tailrace.views.bind_expression import ExpressionBinder
from tailrace.views.bind_number import storable
from tailrace.views.bind_window import window_us
from tailrace.views.expression import Expression, conjunction, inputs
from tailrace.views.parse import Source, printed
from tailrace.views.plan import WINDOW_COLUMN, CompiledView, KeyColumn, OutputColumn, plan_version
from tailrace.views.scope import RecordScope, nearest, readings

KEYS_MAX = 16
OUTPUTS_MAX = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_STATE_NAMES = re.compile(r"s\d+|agg|bin|n|register|rank|window_start", re.IGNORECASE)
"""Columns of the state tables, which a key would stand beside."""


@dataclass(slots=True)
class _Select:
    """What has been bound of the SELECT list so far."""

    window_us: int | None
    keys: list[KeyColumn]
    outputs: list[OutputColumn]


def bind(
    name: str, tree: exp.Select, source: Source, sql: str, fields: Fields, conditions: Sequence[Expression] = ()
) -> CompiledView:
    """`conditions`: those of the stream that it reads. Raises ViewError with line, column and hint."""
    scope = RecordScope(fields, frozenset(i.alias.lower() for i in tree.expressions if isinstance(i, exp.Alias)))
    binder = ExpressionBinder(scope, source)
    where = tree.args.get("where")
    condition = conjunction([*conditions, *([binder.condition(where.this)] if where is not None else [])])
    states = StateCollector()
    select = _Select(None, [], [])
    for item in tree.expressions:
        _bind_item(item, select, binder, scope, states)
    if select.window_us is None:
        hint = "add time_bucket(INTERVAL '10 seconds', timestamp) AS window_start as the first column"
        raise source.error("the time window is missing", source.keyword_offset("SELECT"), hint)
    if not states.scalars and not states.bin_aggs and not states.register_aggs:
        raise source.error(
            "the view has no aggregate", source.keyword_offset("SELECT"), "add for example count(*) AS requests"
        )
    _check_group_by(tree, select, binder)
    if not states.scalars:
        # A key must have a row in the scalars, which every result starts from.
        states.scalar("count", None, None, "BIGINT")
    plan = CompiledView(
        name=name,
        version="",
        sql=sql,
        keys=tuple(select.keys),
        window_us=select.window_us,
        outputs=tuple(select.outputs),
        scalars=states.scalars,
        bin_aggs=states.bin_aggs,
        register_aggs=states.register_aggs,
        where=condition,
    )
    return dataclasses.replace(plan, version=plan_version(plan, readings(plan.inputs(), fields)))


def _bind_item(
    item: exp.Expr, select: _Select, binder: ExpressionBinder, scope: RecordScope, states: StateCollector
) -> None:
    node = item.this if isinstance(item, exp.Alias) else item
    alias = item.args["alias"] if isinstance(item, exp.Alias) else None
    if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        raise binder.error("`*` cannot be used in a view", node, "name the keys and aggregates")
    if len(select.outputs) >= OUTPUTS_MAX:
        raise binder.error(f"more than {OUTPUTS_MAX} columns", node, "split it into several views")
    width = window_us(binder, node)
    if width is not None:
        if select.window_us is not None:
            raise binder.error(
                "there is a second time window", node, "a view has one; coarser steps are made when it is read"
            )
        name = _output_name(alias.name if alias is not None else WINDOW_COLUMN, alias or node, select, binder)
        select.window_us = width
        select.outputs.append(OutputColumn(name, "window", None, "TIMESTAMP WITH TIME ZONE"))
    elif node.find(exp.AggFunc) is not None:
        select.outputs.append(_aggregate(node, alias, select, binder, scope, states))
    else:
        key = _key(node, alias, select, binder)
        select.keys.append(key)
        select.outputs.append(OutputColumn(key.name, "key", None, key.sql_type, scale=key.expression.type.scale))


def _output_name(name: str, at: exp.Expr, select: _Select, binder: ExpressionBinder) -> str:
    if not _NAME.fullmatch(name):
        hint = "use letters, digits and `_`, a letter first, at most 63 characters"
        raise binder.error(f"`{name}` cannot be a column's name", at, hint)
    if any(o.name.lower() == name.lower() for o in select.outputs):
        raise binder.error(f"there are two columns `{name}`", at, "give one of them another name with AS")
    return name


def _aggregate(
    node: exp.Expr,
    alias: exp.Expr | None,
    select: _Select,
    binder: ExpressionBinder,
    scope: RecordScope,
    states: StateCollector,
) -> OutputColumn:
    call, condition = node, None
    if isinstance(node, exp.Filter):
        call = node.this
        condition = binder.condition(node.expression.this)
    aggregate = AGGREGATES.get(type(call))
    if aggregate is None:
        if not isinstance(call, exp.AggFunc):
            hint = "give each aggregate a column of its own, and calculate with them where the view is read"
            raise binder.error("an expression over aggregates is not supported", node, hint)
        word = binder.word(call)
        near = nearest(word, AGGREGATE_NAMES)
        hint = f"did you mean `{near}`?" if near else f"{', '.join(AGGREGATE_NAMES)} can be merged"
        raise binder.error(f"aggregate `{word}` cannot be merged", node, hint)
    if alias is None:
        raise binder.error("an aggregate needs a name", node, f"write {printed(call).lower()} AS name")
    name = _output_name(alias.name, alias, select, binder)
    return aggregate(AggregateCall(name, call, condition, binder, scope, states))


def _key(node: exp.Expr, alias: exp.Expr | None, select: _Select, binder: ExpressionBinder) -> KeyColumn:
    if alias is None and not isinstance(node, exp.Column):
        raise binder.error("a key that is an expression needs a name", node, "write ... AS name after it")
    bound = binder.bind(node)
    if bound.type.kind == "timestamp":
        hint = "time is in the window: time_bucket(INTERVAL '10 seconds', timestamp)"
        raise binder.error("a timestamp cannot be a key: it would make a group of every record", node, hint)
    if bound.type.kind == "null" or not inputs(bound):
        raise binder.error("a key must depend on a field", node, "leave the constant out")
    if bound.type.is_number:
        bound = storable(binder, bound, node)
    name = _output_name(alias.name if alias is not None else node.name, alias or node, select, binder)
    if _STATE_NAMES.fullmatch(name):
        raise binder.error(
            f"a key cannot be called `{name}`: the state tables use that name",
            alias or node,
            "name it otherwise with AS",
        )
    if len(select.keys) >= KEYS_MAX:
        raise binder.error(
            f"more than {KEYS_MAX} keys", node, "every key multiplies the groups; split it into several views"
        )
    return KeyColumn(name, bound.type.sql, bound)


def _check_group_by(tree: exp.Select, select: _Select, binder: ExpressionBinder) -> None:
    """An explicit GROUP BY must name the window and exactly the keys."""
    group = tree.args["group"]
    if group.args.get("all"):
        return
    wanted = {o.name for o in select.outputs if o.kind in ("window", "key")}
    named: set[str] = set()
    for item in group.expressions:
        output = _grouped(item, select, binder)
        if output is None or output.name not in wanted:
            raise binder.error("GROUP BY names something that is not a key of the SELECT", item, "write GROUP BY ALL")
        named.add(output.name)
    if missing := [o.name for o in select.outputs if o.name in wanted - named]:
        raise binder.error(
            f"GROUP BY leaves out `{missing[0]}`", binder.source.keyword_offset("GROUP"), "write GROUP BY ALL"
        )


def _grouped(item: exp.Expr, select: _Select, binder: ExpressionBinder) -> OutputColumn | None:
    """The output that a GROUP BY item means: by position, by name, or by the same expression."""
    if isinstance(item, exp.Literal) and item.is_int:
        position = int(item.name)
        return select.outputs[position - 1] if 1 <= position <= len(select.outputs) else None
    if isinstance(item, exp.Column):
        by_name = next((o for o in select.outputs if o.name.lower() == item.name.lower()), None)
        if by_name is not None:
            return by_name
    if window_us(binder, item) == select.window_us:
        return next(o for o in select.outputs if o.kind == "window")
    bound: Expression = binder.bind(item)
    key = next((k for k in select.keys if k.expression == bound), None)
    return next((o for o in select.outputs if key is not None and o.name == key.name), None)
