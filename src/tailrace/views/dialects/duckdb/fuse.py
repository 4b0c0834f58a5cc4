"""What of several views can be computed together: pure plans, from expressions to the statements of a `PartialProgram`.

Two savings. What depends on one text column is computed on that column's distinct texts (`Derived`), and the record only carries its
code or result. And state tables whose keys are a subset of another's are merged from that other's groups in the same statement
(`Fused`): a view by endpoint costs nothing beside one by endpoint and status.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tailrace.model.fields import EXTRA
from tailrace.views.dialects.duckdb.expression import print_expression, quoted
from tailrace.views.dialects.duckdb.partial import binned_sql, grouped_sql, hashed_sql, state_sql, text_sql, where_sql
from tailrace.views.expression import INTEGER, Call, Column, Expression, ExtraText, Type, inputs
from tailrace.views.plan import BinAgg, CompiledView, RegisterAgg, ScalarState

REGISTER_TYPE = Type("integer", "SMALLINT")
RANK_TYPE = Type("integer", "TINYINT")


@dataclass(frozen=True, slots=True)
class Hashed:
    """Register and rank of a text: two columns."""

    register: Column
    rank: Column


@dataclass(slots=True)
class Derived:
    """What is computed for each distinct text of one column: values, and register and rank of values."""

    values: dict[Expression, Column] = field(default_factory=dict)
    hashes: dict[Expression, Hashed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One state table of one view (of one agg of it, for bins and registers) within a fused statement.

    `keys`: (the view's name for it, the column that holds it). `states`: (the view's name, the statement's).
    """

    view: CompiledView
    table: str
    agg: int
    keys: tuple[tuple[str, Column], ...]
    states: tuple[tuple[str, str], ...]
    grouping: int = 0


@dataclass(frozen=True, slots=True)
class Fused:
    """One statement. Its columns: `g` (which of the groupings; only if there are several), w, the keys, [bin | register], states."""

    statement: str
    columns: tuple[str, ...]
    parts: tuple[Part, ...]
    several: bool


class RowPlan:
    """Rewrites the views' expressions to columns of the prepared rows, and remembers which columns those are."""

    def __init__(self) -> None:
        self.windows: dict[int, Column] = {}
        self.coded: dict[str, Column] = {}
        self.raw: dict[str, Column] = {}
        self.derived: dict[str, Derived] = {}
        self.coded_values: dict[Expression, Column] = {}
        self._names = 0

    def window(self, width_us: int) -> Column:
        return self.windows.setdefault(width_us, Column(f"#w{width_us}", Type("integer", "BIGINT")))

    def key(self, expression: Expression) -> Expression:
        """A key; text becomes its code."""
        text = single_text(expression)
        if text is None or expression.type.kind != "text":
            return self.value(expression)
        self.coded.setdefault(text.name, Column(f"#{text.name}", INTEGER))
        if expression == text:
            return self.coded[text.name]
        self._derive(text, expression)
        return self.coded_values.setdefault(expression, self._column(INTEGER))

    def value(self, expression: Expression) -> Expression:
        """A condition or the argument of an aggregate."""
        if isinstance(expression, Column):
            return self.raw.setdefault(expression.name, expression)
        if isinstance(expression, ExtraText):
            self.raw.setdefault(EXTRA, Column(EXTRA, expression.type))
            return expression
        if not isinstance(expression, Call):
            return expression
        text = single_text(expression)
        if text is not None:
            return self._derive(text, expression)
        return Call(expression.op, tuple(self.value(a) for a in expression.args), expression.type)

    def condition(self, expression: Expression | None) -> Expression | None:
        return None if expression is None else self.value(expression)

    def hashed(self, expression: Expression) -> Hashed | None:
        """Register and rank of a value that depends on one text column; None if it depends on anything else."""
        text = single_text(expression)
        if text is None:
            return None
        self.coded.setdefault(text.name, Column(f"#{text.name}", INTEGER))
        hashes = self.derived.setdefault(text.name, Derived()).hashes
        return hashes.setdefault(expression, Hashed(self._column(REGISTER_TYPE), self._column(RANK_TYPE)))

    def _derive(self, text: Column, expression: Expression) -> Column:
        self.coded.setdefault(text.name, Column(f"#{text.name}", INTEGER))
        return self.derived.setdefault(text.name, Derived()).values.setdefault(expression, self._column(expression.type))

    def _column(self, type_: Type) -> Column:
        self._names += 1
        return Column(f"#d{self._names}", type_)


def single_text(expression: Expression) -> Column | None:
    """The text column that is all the expression reads, if so."""
    read = inputs(expression)
    only = read[0] if len(read) == 1 else None
    return only if isinstance(only, Column) and only.type.kind == "text" else None


def derived_sql(source: str, derived: Derived) -> str:
    """SELECT over the distinct texts in `source`, in their order: the values, then register and rank of each hashed text."""
    columns = [f"{print_expression(e)} AS {quoted(c.name)}" for e, c in derived.values.items()]
    names = [quoted(c.name) for c in derived.values.values()]
    statement = f"SELECT {', '.join([*columns, 'r.*'])} FROM {source} AS r"
    for expression, hashed in derived.hashes.items():
        given = f"SELECT r.*, {text_sql(expression)} AS t FROM ({statement}) AS r"
        carried = [*names, "r.*"]
        del carried
        statement = hashed_sql(["*"], f"FROM ({given})")
        names += [quoted(hashed.register.name), quoted(hashed.rank.name)]
    return statement
