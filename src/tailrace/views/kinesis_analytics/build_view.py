"""One aggregating pump as the text of one view: its window, its keys, its aggregates, and what of it is another than before."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from tailrace.views.kinesis_analytics.expressions import as_sql, name_of_column, turned
from tailrace.views.kinesis_analytics.mapping import Mapping
from tailrace.views.kinesis_analytics.select import CannotTurnError, Stagger
from tailrace.views.kinesis_analytics.statements import CreateStream, Name, Pump
from tailrace.views.kinesis_analytics.times import ARRIVAL, TimeWindow, seconds, step_of, time_window

_TAKEN = re.compile(r"s\d+|agg|bin|n|register|rank|window_start", re.IGNORECASE)
"""Names that a key cannot have."""
_NUMBER_TYPES = re.compile(r"TINYINT|SMALLINT|INT|BIGINT|REAL|FLOAT|DOUBLE|DECIMAL|NUMERIC")
_PLAIN = {
    exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max", exp.Stddev: "stddev", exp.StddevSamp: "stddev",
    exp.StddevPop: "stddev_pop", exp.Variance: "variance", exp.VariancePop: "var_pop",
}  # fmt: skip
_PLACED = {exp.FirstValue: "first", exp.LastValue: "last", exp.First: "first", exp.Last: "last"}
_WINDOW_AGAIN = "the window is `window_start` in every view"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that differs. `at`: a node or an offset."""

    at: exp.Expr | int
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of what a pump selects, in order. `keys`: as the application compares them. `numbers`: whether each is one."""

    keys: tuple[str, ...]
    shown: tuple[str, ...]
    numbers: tuple[bool | None, ...]

    @staticmethod
    def of(pump: Pump, target: CreateStream | None, tree: exp.Select) -> Columns:
        """By the INSERT's list, else by the target's columns, else by the names in the SELECT."""
        declared = {each.name.key: bool(_NUMBER_TYPES.match(each.type)) for each in target.columns} if target else {}
        given = pump.columns or (tuple(each.name for each in target.columns) if target else ())
        if len(given) != len(tree.expressions):
            given = tuple(_own_name(item, number) for number, item in enumerate(tree.expressions))
        return Columns(
            tuple(each.key for each in given),
            tuple(each.shown for each in given),
            tuple(declared.get(each.key) for each in given),
        )


def _own_name(item: exp.Expr, number: int) -> Name:
    if isinstance(item, exp.Alias):
        identifier = item.args["alias"]
        quoted = bool(identifier.args.get("quoted"))
        return Name(identifier.name if quoted else identifier.name.upper(), identifier.name, 0, quoted)
    return name_of_column(item) if isinstance(item, exp.Column) else Name(f"COLUMN_{number}", f"column_{number}", 0)


class ViewBuilder:
    """`notes` and `summary` are there once `text` was called. Everything raises CannotTurnError."""

    def __init__(
        self,
        name: str,
        base: str,
        tree: exp.Select,
        stagger: Stagger | None,
        names: Columns,
        resolve: Callable[[exp.Column], exp.Expr],
        mapping: Mapping,
    ) -> None:
        self.notes: list[Note] = []
        self._name, self._base, self._tree, self._stagger = name, base, tree, stagger
        self._names, self._resolve, self._mapping = names, resolve, mapping
        self._keys: dict[str, str] = {}
        self._outputs: dict[str, str] = {}
        self._ranges_s: list[int] = []
        self._width_s = 0

    def text(self) -> str:
        """CREATE VIEW, in the style of those that are shipped."""
        windows, group = self._grouping()
        over = self._over()
        self._width_s = self._width(windows, over)
        for item, shown, number in zip(self._tree.expressions, self._names.shown, self._names.numbers, strict=False):
            self._item(item, shown, number, group)
        for node in group:
            self._key(node, "", chosen=False)
        if not self._outputs:
            raise CannotTurnError("it aggregates nothing", self._tree, "add COUNT(*) for example")
        where = self._tree.args.get("where")
        condition = f"WHERE {as_sql(turned(where.this, self._resolve))}\n" if where is not None else ""
        self._leave_out()
        columns = [f"time_bucket(INTERVAL '{self._width_s} seconds', timestamp) AS window_start"]
        columns += [sql if sql == name else f"{sql} AS {name}" for name, sql in self._keys.items()]
        columns += [f"{sql} AS {name}" for name, sql in self._outputs.items()]
        listed = ",\n       ".join(columns)
        return f"CREATE VIEW {self._name} AS\nSELECT {listed}\nFROM {self._base}\n{condition}GROUP BY ALL;\n"

    def summary(self) -> str:
        keys = f"keys {', '.join(self._keys)}" if self._keys else "no keys"
        outputs = f"; aggregates {', '.join(self._outputs)}" if self._outputs else ""
        return f"view `{self._name}` of `{self._base}`: windows of {self._width_s} s, {keys}{outputs}"

    def reading(self) -> str:
        """How to ask for what the pump gave."""
        asked = [
            f"GET /v1/views/{self._name}?over={each}s&step={self._width_s}s" for each in sorted(set(self._ranges_s))
        ]
        return "ask for: " + (" and ".join(asked) or f"GET /v1/views/{self._name}")

    # -- windows -----------------------------------------------------------------------------------------------------

    def _grouping(self) -> tuple[list[TimeWindow], list[exp.Expr]]:
        """(windows in time, all else that it is grouped by)."""
        group = self._tree.args.get("group")
        nodes = list(group.expressions) if group is not None else []
        if group is not None and any(group.args.get(each) for each in ("cube", "rollup", "grouping_sets")):
            raise CannotTurnError("ROLLUP and CUBE", group, "a view for each grouping, or ?total=")
        if self._stagger is not None:
            nodes += self._stagger.partition
        windows: list[TimeWindow] = []
        rest: list[exp.Expr] = []
        for node in nodes:
            meant = self._selected(node)
            window = time_window(meant)
            if window is not None:
                windows.append(window)
            elif isinstance(meant, exp.Column) and meant.name.upper() in ARRIVAL:
                raise CannotTurnError("a group for each moment", node, "group by FLOOR(ROWTIME TO MINUTE)")
            else:
                rest.append(meant)
        return windows, rest

    def _selected(self, node: exp.Expr) -> exp.Expr:
        """What GROUP BY means: an expression, or the place or the name of one that is selected."""
        if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
            place = int(node.name) - 1
            if 0 <= place < len(self._tree.expressions):
                placed: exp.Expr = self._tree.expressions[place].unalias()
                return placed
        if isinstance(node, exp.Column) and not node.table:
            for item in self._tree.expressions:
                if isinstance(item, exp.Alias) and item.alias.upper() == node.name.upper() and time_window(item):
                    named: exp.Expr = item.this
                    return named
        return node

    def _over(self) -> list[exp.Window]:
        """The sliding windows of the SELECT, each checked."""
        named = {each.name.upper(): each for each in self._tree.args.get("windows") or ()}
        found = list(self._tree.find_all(exp.Window))
        over: list[exp.Window] = []
        for window in found:
            if window in named.values():
                continue
            alias = window.args.get("alias")
            definition = named.get(alias.name.upper()) if alias is not None else window
            if definition is None:
                raise CannotTurnError(f"window `{alias}` is not defined", window, "add it to WINDOW")
            self._ranges_s.append(self._range(definition))
            for node in definition.args.get("partition_by") or ():
                if not time_window(node):
                    self._key(node, "", chosen=False)
            over.append(window)
        return over

    def _range(self, window: exp.Window) -> int:
        spec = window.args.get("spec")
        kind = str(spec.args.get("kind") or "") if spec is not None else ""
        start = spec.args.get("start") if spec is not None else None
        if kind != "RANGE" or not isinstance(start, exp.Interval):
            raise CannotTurnError(
                "a sliding window that is no length of time",
                window,
                "write RANGE INTERVAL '1' MINUTE PRECEDING; for rows read the records",
            )
        return seconds(start)

    def _width(self, windows: Sequence[TimeWindow], over: Sequence[exp.Window]) -> int:
        if self._stagger is not None:
            return self._of_stagger(windows)
        if over:
            step_s = step_of(self._ranges_s)
            if not step_s:
                raise CannotTurnError(
                    "sliding windows whose lengths have no common step", over[0], "use whole multiples of 10 seconds"
                )
            lengths = ", ".join(f"{each} s" for each in sorted(set(self._ranges_s)))
            self._note(
                over[0],
                f"sliding windows of {lengths} become hopping ones: a window each {step_s} s, not one for each record",
                self.reading_hint(step_s),
            )
            return step_s
        if not windows:
            raise CannotTurnError(
                "an aggregate without a window",
                self._tree,
                "group by FLOOR(ROWTIME TO MINUTE); the sum over all time is ?total=true",
            )
        self._check_times(windows)
        widths = {each.width_s for each in windows}
        if len(widths) > 1:
            raise CannotTurnError(
                "windows of different widths in one select", windows[-1].node, "a view for each of them"
            )
        return widths.pop()

    def reading_hint(self, step_s: int) -> str:
        return f"?over={max(self._ranges_s)}s&step={step_s}s; window_start is a window's beginning"

    def _of_stagger(self, windows: Sequence[TimeWindow]) -> int:
        assert self._stagger is not None, "asked for a stagger window only"
        length_s = seconds(self._stagger.range)
        self._check_times(windows)
        width_s = windows[0].width_s if windows else length_s
        if 86_400 % width_s:
            raise CannotTurnError(
                f"windows of {width_s} seconds, which do not divide a day", self._stagger.at, "use a length that does"
            )
        self._note(
            self._stagger.at,
            f"a stagger window becomes an event-time window of {width_s} s: it begins at a multiple of its width, not with"
            " a key's first record, and takes records however late they come",
        )
        return width_s

    def _check_times(self, windows: Sequence[TimeWindow]) -> None:
        """Say which time the windows were of, where it was another than the record's."""
        by_event = [each for each in windows if not each.of_arrival]
        if windows and not by_event:
            self._note(
                windows[0].node,
                f"{windows[0].column.name.upper()} was when a record came; windows are of the record's own `timestamp`,"
                " so a late record counts where it belongs",
            )
        for window in by_event:
            target = self._mapping.target(name_of_column(window.column))
            if target.field != "timestamp":
                shown = window.column.name
                key = ".".join(target.path) or target.field
                self._note(
                    window.node,
                    f"column `{shown}` is taken for the record's timestamp",
                    f'in tailrace.toml: [[fields]] name = "timestamp", source = "{key}"; or it is there under that name',
                )

    # -- columns -----------------------------------------------------------------------------------------------------

    def _item(self, item: exp.Expr, shown: str, number: bool | None, group: list[exp.Expr]) -> None:
        node = item.unalias()
        if time_window(node) is not None:
            return
        if isinstance(node, exp.Star):
            raise CannotTurnError("`*` beside aggregates", item, "name the columns")
        aggregates = [each for each in node.find_all(exp.AggFunc) if not each.find_ancestor(exp.AggFunc)]
        if aggregates:
            self._aggregate(node, aggregates, shown, number)
        elif isinstance(node, exp.Column) and node.name.upper() in ARRIVAL:
            self._note(item, f"`{node.name}` is left out: {_WINDOW_AGAIN}")
        elif not node.find(exp.Column):
            self._note(item, f"`{shown}` is the same in each row: left out")
        elif group or self._stagger or not self._ranges_s or self._sql(node) in self._keys.values():
            self._key(node, shown, chosen=True)
        else:
            self._note(
                item, f"`{shown}` is a value of each record: left out, as a window has many", "read it: POST /v1/query"
            )

    def _aggregate(self, node: exp.Expr, aggregates: Sequence[exp.Expr], shown: str, number: bool | None) -> None:
        bare = node
        while isinstance(bare, exp.Cast | exp.Paren | exp.Window):
            bare = bare.this
        if bare is aggregates[0]:
            self._outputs[self._free(shown)] = self._call(bare, number)
            return
        named = {}
        for at, each in enumerate(aggregates, 1):
            named[f"{_clean(shown)}_{at}"] = each
        for name, each in named.items():
            self._outputs[self._free(name)] = self._call(each, number)
        self._note(
            node,
            f"`{shown}` is computed from aggregates: {', '.join(named)} are kept instead",
            "compute it where you read: states merge exactly, results of an expression do not",
        )

    def _call(self, node: exp.Expr, number: bool | None) -> str:
        kind = type(node)
        if isinstance(node, exp.Count):
            if isinstance(node.this, exp.Distinct):
                (counted, *more) = node.this.expressions
                if more:
                    raise CannotTurnError("COUNT(DISTINCT) of several columns", node, "concatenate them")
                self._note(node, "COUNT(DISTINCT) is approx_count_distinct: about 1.6 % error, and it merges")
                return f"approx_count_distinct({self._sql(counted)})"
            return (
                "count(*)" if node.this is None or isinstance(node.this, exp.Star) else f"count({self._sql(node.this)})"
            )
        if kind in _PLACED:
            self._note(node, f"{_PLACED[kind]} goes by the record's timestamp, not by when it came")
            return f"{_PLACED[kind]}({self._sql(node.this)})"
        if kind not in _PLAIN or isinstance(node.this, exp.Distinct):
            raise CannotTurnError(f"the aggregate `{node.sql()[:60]}`", node, "aggregates of views: docs/views.md")
        wanted = node.this
        if number and isinstance(node, exp.Min | exp.Max) and isinstance(wanted, exp.Column):
            wanted = exp.Mul(this=wanted.copy(), expression=exp.Literal.number(1))
            return f"{_PLAIN[kind]}({self._sql(wanted).removesuffix(' * 1')})"
        return f"{_PLAIN[kind]}({self._sql(wanted)})"

    def _key(self, node: exp.Expr, shown: str, *, chosen: bool) -> None:
        sql = self._sql(node)
        known = next((name for name, each in self._keys.items() if each == sql), None)
        if known is not None:
            if (
                chosen
                and _clean(shown) != known
                and _clean(shown) not in self._keys
                and not _TAKEN.fullmatch(_clean(shown))
            ):
                self._keys = {(_clean(shown) if name == known else name): each for name, each in self._keys.items()}
            return
        own = node.name if isinstance(node, exp.Column) else ""
        name = self._free(shown or own or f"key_{len(self._keys) + 1}", key=True)
        self._keys[name] = sql

    def _sql(self, node: exp.Expr) -> str:
        """Within the place that it has in the tree, as what stands around a column tells its type."""
        holder = node.parent
        if isinstance(node, exp.Column) and isinstance(holder, exp.AggFunc | exp.Binary) and holder.arg_key != "group":
            whole = turned(holder, self._resolve)
            part = whole.this if node is holder.this else whole.args.get("expression", whole.this)
            return as_sql(part)
        return as_sql(turned(node, self._resolve))

    def _free(self, shown: str, *, key: bool = False) -> str:
        name = _clean(shown)
        while (key and _TAKEN.fullmatch(name)) or name in ("window_start", *self._keys, *self._outputs):
            name += "_"
        return name

    # -- what a view has not -----------------------------------------------------------------------------------------

    def _leave_out(self) -> None:
        having = self._tree.args.get("having")
        if having is not None:
            self._note(
                having,
                "HAVING is left out: the view has all groups",
                f"choose when you read: POST /v1/query takes SELECT * FROM {self._name} WHERE ...; or alert on it",
            )
        for clause in ("order", "limit", "offset", "qualify"):
            found = self._tree.args.get(clause)
            if found is not None:
                self._note(
                    found, f"{clause.upper()} is left out: rows come by window and key", "?top=10&by= when you read"
                )

    def _note(self, at: exp.Expr | int, text: str, hint: str = "") -> None:
        self.notes.append(Note(at, text, hint))


def _clean(shown: str) -> str:
    """Letters, digits and `_`, a letter first; upper case alone becomes lower case."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", shown).strip("_")[:50] or "column_"
    name = name if name[0].isalpha() else f"c_{name}"
    return name.lower() if name.upper() == name else name
