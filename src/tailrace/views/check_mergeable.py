"""Refuse what cannot be merged, before names are looked at: each with its place, the reason and what to write instead.

A view's numbers are made from states of separate batches, in any order, on either side of the frontier. So every aggregate must
have a state that merges exactly, every record must count by itself alone, and the same record must give the same key for ever.
"""

from __future__ import annotations

from sqlglot import exp

from tailrace.views.parse import Source

_LATER = "do it where the view is read: POST /v1/query, or the request's own parameters"

# Clause of the syntax tree -> (words that begin it, message, hint).
_CLAUSES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "with_": (("WITH",), "WITH is not supported in a view", "write the expressions out in the SELECT"),
    "distinct": (
        ("DISTINCT",),
        "SELECT DISTINCT is not needed: GROUP BY already gives one row a key",
        "remove DISTINCT",
    ),
    "joins": (
        ("JOIN", ","),
        "a join cannot be merged: a record would count by what other tables held when it came",
        _LATER,
    ),
    "laterals": (("LATERAL",), "a join cannot be merged", _LATER),
    "pivots": (
        ("PIVOT", "UNPIVOT"),
        "PIVOT is not supported in a view",
        "use count(*) FILTER (WHERE ...) for each column",
    ),
    "having": (("HAVING",), "HAVING cannot be merged: a group below the limit now may pass it later", _LATER),
    "qualify": (("QUALIFY",), "QUALIFY cannot be merged: it looks at other rows", _LATER),
    "windows": (("WINDOW",), "window functions cannot be merged: they look at other rows", _LATER),
    "order": (
        ("ORDER",),
        "ORDER BY has no meaning in a stored view",
        "rows come ordered by window and keys; " + _LATER,
    ),
    "limit": (
        ("LIMIT", "FETCH"),
        "LIMIT cannot be merged: which rows are first changes",
        "ask for `top` or `limit` when reading the view",
    ),
    "offset": (("OFFSET",), "OFFSET cannot be merged", _LATER),
    "sample": (("USING", "TABLESAMPLE"), "a sample is not deterministic", "filter by a field instead: WHERE ..."),
    "into": (("INTO",), "INTO is not supported in a view", "the view's name is where it goes"),
}

_NOW = "a view is computed from each record alone, twice, at different times; use the field `timestamp`"
_CHANCE = "chance gives the two layers different numbers; filter by a field instead"
_LIST = "count, sum, avg, min, max, quantile, approx_count_distinct, first, last, stddev, variance, bool_and and bool_or can be merged"
_QUANTILE = "write quantile(x, 0.99): exact counts in log buckets, within 1 %, and mergeable"

# Function names -> (reason, hint). `{word}` is the name as written.
_FUNCTIONS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "today", "get_current_timestamp",
         "transaction_timestamp", "currenttimestamp", "currentdate", "currenttime", "age"),
        ("`{word}` depends on when it is asked", _NOW),
    ),
    **dict.fromkeys(
        ("random", "rand", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "setseed", "nextval"),
        ("`{word}` is not deterministic", _CHANCE),
    ),
    **dict.fromkeys(("median",), ("`{word}` needs all values at once and cannot be merged", "write quantile(x, 0.5)")),
    **dict.fromkeys(
        ("quantile_cont", "quantile_disc", "percentile_cont", "percentile_disc", "percentile"),
        ("`{word}` is an exact quantile, which needs all values at once and cannot be merged", _QUANTILE),
    ),
    **dict.fromkeys(
        ("approx_quantile", "approx_percentile", "reservoir_quantile"),
        ("the state of `{word}` depends on the order of the records", _QUANTILE),
    ),
    **dict.fromkeys(
        ("any_value", "arbitrary", "first_value", "last_value", "nth_value"),
        ("`{word}` depends on the order of the records", "write first(x) or last(x): by event time, the same in any order"),
    ),
    **dict.fromkeys(("arg_min_null", "arg_max_null"), ("`{word}` is not an aggregate of views", "write first(x) or last(x)")),
    **dict.fromkeys(("mode", "approx_top_k", "histogram"), ("`{word}` cannot be merged", _LIST)),
    **dict.fromkeys(
        ("string_agg", "group_concat", "listagg", "list", "array_agg", "json_group_array", "json_group_object", "map_from_entries"),
        ("`{word}` keeps every value, so its state has no limit", "read the records themselves: POST /v1/query over logs"),
    ),
    **dict.fromkeys(
        ("corr", "covar_pop", "covar_samp", "skewness",
         "kurtosis", "entropy", "mad", "regr_slope", "regr_r2", "geomean", "product", "fsum", "favg", "kahan_sum", "sumkahan"),
        ("`{word}` is not exact in fixed point and cannot be merged bit for bit", _LIST),
    ),
    "count_if": ("`{word}` is not an aggregate of views", "write count(*) FILTER (WHERE ...)"),
    "sum_if": ("`{word}` is not an aggregate of views", "write sum(x) FILTER (WHERE ...)"),
}  # fmt: skip


def check_mergeable(tree: exp.Select, source: Source) -> None:
    """Raises ViewError at the first thing that cannot be merged."""
    _check_nesting(tree, source)
    _check_clauses(tree, source)
    check_from(tree, source)
    _check_group(tree, source)
    check_nodes(tree, source)


def check_nodes(tree: exp.Expr, source: Source) -> None:
    """Raises ViewError for what no expression of a view or a stream may hold: chance, the clock, other rows."""
    for node in tree.walk(bfs=False):
        _check_node(node, source)


def _check_nesting(tree: exp.Select, source: Source) -> None:
    """Before the clauses, since a subquery's own HAVING or LIMIT is not what is wrong with it."""
    for node in tree.walk(bfs=False):
        if isinstance(node, exp.Query) and node is not tree and not isinstance(node.parent, exp.CTE):
            opened = source.keyword_offset("SELECT", "FROM", before=source.offset(node))
            raise source.error(
                "a subquery cannot be used in a view", opened, "a view reads logs once, record by record"
            )


def _check_clauses(tree: exp.Select, source: Source) -> None:
    for name, value in tree.args.items():
        if name in ("expressions", "from_", "where", "group") or not value:
            continue
        words, message, hint = _CLAUSES.get(name, ((), f"`{name.strip('_')}` is not supported in a view", ""))
        raise source.error(message, _clause_offset(value, words, source), hint)


def _clause_offset(value: object, words: tuple[str, ...], source: Source) -> int:
    node = value[0] if isinstance(value, list) else value
    if isinstance(node, exp.Expr) and (inner := source.offset(node)):
        return source.keyword_offset(*words, before=inner) or inner
    return source.keyword_offset(*words)


def check_from(tree: exp.Select, source: Source) -> None:
    """Raises ViewError unless it reads one relation by its bare name: `logs` or, as may be, a stream."""
    from_ = tree.args.get("from_")
    if from_ is None:
        raise source.error(
            "FROM logs is missing", source.keyword_offset("SELECT"), "a view reads the records: FROM logs"
        )
    table = from_.this
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier) or table.args.get("db"):
        raise source.error(
            "only `logs` or a stream can be read here", table, "write FROM logs; views of views are not supported"
        )
    extras = [n for n, v in table.args.items() if v and n not in ("this", "alias")]
    read = table.name
    if table.args.get("alias"):
        raise source.error(f"`{read}` cannot be given another name here", table.args["alias"], f"write FROM {read}")
    if extras:
        name = extras[0]
        words, message, hint = _CLAUSES.get(name, ((), f"`{name}` is not supported on {read}", f"write FROM {read}"))
        raise source.error(message, _clause_offset(table.args[name], words, source), hint)


def _check_group(tree: exp.Select, source: Source) -> None:
    group = tree.args.get("group")
    if group is None:
        raise source.error(
            "GROUP BY is missing", len(source.text.rstrip().rstrip(";")), "end the view with GROUP BY ALL"
        )
    several = (exp.Rollup, exp.Cube, exp.GroupingSets)
    found = next((n for n in group.walk() if isinstance(n, several)), None)
    if found is not None or group.args.get("totals"):
        words = ("ROLLUP", "CUBE", "GROUPING", "WITH")
        hint = "make a view for each grouping; `total` and `step` of a request already merge windows"
        raise source.error("a view has one grouping", source.keyword_offset(*words), hint)


def _check_node(node: exp.Expr, source: Source) -> None:
    if isinstance(node, exp.Window):
        raise source.error("window functions cannot be merged: they look at other rows", node, _LATER)
    if isinstance(node, exp.Distinct):
        parent = node.parent
        counting = isinstance(parent, exp.Count)
        hint = "write approx_count_distinct(x): within about 2 %" if counting else "remove DISTINCT"
        raise source.error("a DISTINCT aggregate would need every value and cannot be merged", parent or node, hint)
    if isinstance(node, exp.IgnoreNulls | exp.RespectNulls) and isinstance(node.this, exp.First | exp.Last):
        word = source.word(node.this)
        raise source.error(f"`{word}` leaves NULL out by itself", node, f"write {word}(x)")
    if isinstance(node, exp.Order) and isinstance(node.parent, exp.First | exp.Last):
        word = source.word(node.parent)
        raise source.error(f"`{word}` goes by `timestamp` by itself, and by nothing else", node, f"write {word}(x)")
    if isinstance(node, exp.WithinGroup | exp.Order):
        raise source.error("an ordered aggregate needs all values at once and cannot be merged", node, _QUANTILE)
    if isinstance(node, exp.IgnoreNulls | exp.RespectNulls) and node.this is not None:
        _check_function(node.this, source.word(node), node, source)
    if isinstance(node, exp.Func):
        _check_function(node, source.word(node), node, source)
        # The parser drops arguments that it does not know; nothing that was written may go unread.
        read = sum(
            len(value) if isinstance(value, list) else isinstance(value, exp.Expr) for value in node.args.values()
        )
        if source.arguments_written(node) > read:
            raise source.error(f"`{source.word(node)}` has too many arguments", node)


def _check_function(node: exp.Expr, word: str, at: exp.Expr, source: Source) -> None:
    for name in (word.lower(), node.key if isinstance(node, exp.Func) else ""):
        if name in _FUNCTIONS:
            reason, hint = _FUNCTIONS[name]
            raise source.error(reason.format(word=word or name), at, hint)


def refused_functions() -> dict[str, str]:
    """Name -> what to write instead; for the docs and their test."""
    return {name: hint for name, (_, hint) in _FUNCTIONS.items()}
