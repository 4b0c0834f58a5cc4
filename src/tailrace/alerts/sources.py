"""Where the numbers of rules come from: the merged views, SQL in the query process, the stream's own counts, drift and ledger.

A window is judged once it is over for `delay` and everything that had arrived by then is in the view: `complete_through` is a time of
arrival, so no record's own time can make a window seem over, or keep it open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import msgspec
import pyarrow as pa

from tailrace.alerts.expression import parse_formula
from tailrace.alerts.frame import Frame, Grid, frame_of
from tailrace.alerts.rule import OF_THE_SYSTEM, SECOND_US, Rule
from tailrace.errors import Invalid, TailraceError, TooLarge, Unavailable
from tailrace.model.window import iso
from tailrace.runtime.clock import Clock
from tailrace.serving.follower import Follower
from tailrace.serving.ledger import ledger
from tailrace.serving.merge import Merger, ViewQuery
from tailrace.serving.pin import Pinned
from tailrace.stream.base import StreamBackend
from tailrace.views import CompiledView
from tailrace.views.stream import LOGS

ROWS_MAX = 2_000_000
SQL_TIMEOUT_S = 40.0
STEP_US_MIN = 10 * SECOND_US
DAY_US = 86_400 * SECOND_US
SEALS_MAX = 40_000
"""Epochs of a shard that a look at dead letters goes back."""
_ARROW = "application/vnd.apache.arrow.stream"
_DEAD_SHARE = parse_formula("100 * dead_lettered / lines")


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows that rules have in common: of one view, one condition, one grid. `columns`: of all of them."""

    view: str
    where: str
    by: tuple[str, ...] | None
    grid: Grid
    columns: tuple[str, ...] = ()


class Sources:
    """Any thread may ask."""

    def __init__(
        self, stream: StreamBackend, follower: Follower, merger: Merger, query_socket: Path, seal_us: int, clock: Clock
    ) -> None:
        self._stream = stream
        self._follower = follower
        self._merger = merger
        self._seal_us = seal_us
        self._clock = clock
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(query_socket)),
            base_url="http://query",
            timeout=SQL_TIMEOUT_S,
            trust_env=False,
        )

    def pinned(self) -> Pinned:
        """Raises Unavailable until the node has caught up once."""
        pinned = self._follower.pinned
        if pinned is None or not pinned.views:
            raise Unavailable("the node is reading what came in while it was away", hint="ask again in a second")
        return pinned

    def check(self, rule: Rule) -> None:
        """Raises Invalid or NotFound if the rule asks for what there is not, now."""
        if rule.view:
            view = self._view(rule)
            step_us(rule, view)
            names = {o.name.lower() for o in view.outputs if o.kind not in ("window", "key")}
            for name in (*(rule.value.columns if rule.value else ()), *(rule.when.columns if rule.when else ())):
                if name not in names:
                    raise Invalid(
                        f"view `{rule.view}` has no number `{name}`", hint=f"its numbers: {', '.join(sorted(names))}"
                    )
            grid = Grid(0, 0, step_us(rule, view), rule.over_us)
            self._table(self._asked(rule, grid))
        if rule.stream and rule.stream.lower() != LOGS:
            self._follower.catalog.state.stream(rule.stream)
        if (rule.stream or rule.sql) and rule.step_us not in (0, rule.over_us):
            raise Invalid("`step` must be as long as `over` for SQL and streams", hint="leave `step` out")

    def step_us(self, rule: Rule) -> int:
        return step_us(rule, self._view(rule) if rule.view else None)

    def complete_us(self, rule: Rule) -> int | None:
        """Everything that had arrived by then is in what the rule reads; None while nobody knows."""
        pinned = self.pinned()
        now_us = self._clock.now_us()
        if not rule.view:
            return now_us if rule.kind in OF_THE_SYSTEM else min(now_us, self._read_us(pinned))
        complete_us = pinned.speed.of(self._view(rule).version).complete_through_us
        return None if complete_us is None else min(now_us, complete_us)

    def frames(self, wanted: Mapping[str, tuple[Rule, Grid]]) -> dict[str, Frame | TailraceError]:
        """A frame for each name, or why there is none. Rules that read the same rows of a view share the reading."""
        together: dict[Asked, list[str]] = {}
        found: dict[str, Frame | TailraceError] = {}
        for name, (rule, grid) in wanted.items():
            if rule.view:
                together.setdefault(self._asked(rule, grid, columns=False), []).append(name)
            else:
                found[name] = self._alone(rule, grid)
        for asked, names in together.items():
            columns = dict.fromkeys(c for name in names for c in self._asked(*wanted[name]).columns)
            try:
                table = self._table(replace(asked, columns=tuple(columns)))
            except TailraceError as error:
                found |= dict.fromkeys(names, error)
                continue
            for name in names:
                found[name] = self._of_view(wanted[name][0], asked.grid, table)
        return found

    def frame(self, rule: Rule, grid: Grid) -> Frame:
        """Raises what keeps it from being made."""
        found = self.frames({"": (rule, grid)})[""]
        if isinstance(found, TailraceError):
            raise found
        return found

    def view_of(self, rule: Rule) -> CompiledView | None:
        return self.pinned().views.get(rule.view) if rule.view else None

    def close(self) -> None:
        self._client.close()

    # -- views ---------------------------------------------------------------------------------------------------

    def _view(self, rule: Rule) -> CompiledView:
        return self.pinned().view(rule.view)[0]

    def _asked(self, rule: Rule, grid: Grid, *, columns: bool = True) -> Asked:
        formulas = (*(rule.value.columns if rule.value else ()), *(rule.when.columns if rule.when else ()))
        return Asked(rule.view, rule.where, rule.by, grid, tuple(dict.fromkeys(formulas)) if columns else ())

    def _table(self, asked: Asked) -> pa.Table:
        grid = asked.grid
        query = ViewQuery(
            from_us=grid.first_us - grid.over_us,
            to_us=grid.last_us - grid.over_us + grid.step_us,
            step_us=grid.step_us,
            over_us=None if grid.over_us == grid.step_us else grid.over_us,
            where=asked.where or None,
            columns=asked.columns,
            by=asked.by,
            limit=ROWS_MAX,
        )
        answer = self._merger.answer(self.pinned(), asked.view, query)
        if answer.truncated:
            raise TooLarge(f"the rule reads more than {ROWS_MAX:,} rows", hint="narrow it with where or by")
        return answer.table

    def _of_view(self, rule: Rule, grid: Grid, table: pa.Table) -> Frame | TailraceError:
        try:
            view = self._view(rule)
            window = next(o.name for o in view.outputs if o.kind == "window")
            keys = [o.name for o in view.outputs if o.kind == "key" and o.name in table.column_names]
            return frame_of(grid, table, window, keys, rule.value, rule.when)
        except TailraceError as error:
            return error

    # -- all else ------------------------------------------------------------------------------------------------

    def _alone(self, rule: Rule, grid: Grid) -> Frame | TailraceError:
        try:
            match rule.kind:
                case "drift":
                    return self._drift(grid)
                case "ledger":
                    difference = int(not ledger(self._stream, self.pinned())["balanced"])
                    return _single(grid, pa.table({"value": [difference]}), ())
                case "dead_letters":
                    return self._dead_letters(rule, grid)
            return self._sql(rule, grid)
        except TailraceError as error:
            return error

    def _drift(self, grid: Grid) -> Frame:
        pinned = self.pinned()
        rows = {name: pinned.drift_rows.get(view.version, 0) for name, view in sorted(pinned.views.items())}
        return _single(
            grid,
            pa.table({"view": pa.array(list(rows), pa.string()), "value": pa.array(list(rows.values()), pa.int64())}),
            ("view",),
        )

    def _dead_letters(self, rule: Rule, grid: Grid) -> Frame:
        """Counts of sealed epochs, in windows of their time of arrival."""
        sums: dict[int, list[int]] = {}
        epochs = (self._clock.now_us() - grid.first_us + grid.over_us) // self._seal_us + 3
        for shard in self._stream.shards():
            newest = self._stream.end(shard.id).open_epoch
            for seal in self._stream.seals(shard.id, max(0, newest - min(epochs, SEALS_MAX))):
                sealed_us = seal.sealed_at_us - 1
                last = (sealed_us - grid.first_us) // grid.step_us + 1 + (grid.over_us // grid.step_us - 1)
                for at in range(last - grid.over_us // grid.step_us + 1, last + 1):
                    counts = sums.setdefault(at, [0, 0])
                    counts[0] += seal.counts.stored + seal.counts.dead_lettered
                    counts[1] += seal.counts.dead_lettered
        found = {at: counts for at, counts in sums.items() if 0 <= at < grid.count and counts[0]}
        starts = [grid.first_us + at * grid.step_us - grid.over_us for at in found]
        table = pa.table(
            {
                "window_start": pa.array(starts, pa.timestamp("us", "UTC")),
                "lines": pa.array([c[0] for c in found.values()], pa.int64()),
                "dead_lettered": pa.array([c[1] for c in found.values()], pa.int64()),
            }
        )
        return frame_of(grid, table, "window_start", (), rule.value or _DEAD_SHARE, rule.when)

    def _sql(self, rule: Rule, grid: Grid) -> Frame:
        table = self._asked_sql(statement(rule, grid))
        known = {name.lower(): name for name in table.column_names}
        if rule.by is None:
            value = {*(rule.value.columns if rule.value else ("value",)), *(rule.when.columns if rule.when else ())}
            names = tuple(name for name in table.column_names if name.lower() not in {*value, "window_start"})
        else:
            names = tuple(known.get(name.lower(), name) for name in rule.by)
        for name in names:
            if name not in table.column_names:
                raise Invalid(f"the answer has no column `{name}`", hint=f"columns: {', '.join(table.column_names)}")
        formula = rule.value or (parse_formula("value") if "value" in known else None)
        return frame_of(grid, table, known.get("window_start"), names, formula, rule.when)

    def _asked_sql(self, sql: str) -> pa.Table:
        try:
            answer = self._client.post("/v1/query", json={"sql": sql}, headers={"Accept": _ARROW})
        except httpx.TransportError as error:
            raise Unavailable(
                "the query process does not answer", hint="it is tried again with the next window"
            ) from error
        if answer.status_code != 200:
            raise _sql_error(answer)
        try:
            return pa.ipc.open_stream(answer.content).read_all()
        except pa.ArrowInvalid as error:
            raise Unavailable("the query was broken off", hint="it is tried again with the next window") from error

    def _read_us(self, pinned: Pinned) -> int:
        """SQL reads the stream itself: what has been acknowledged is there."""
        return self._clock.now_us()


def _single(grid: Grid, table: pa.Table, names: tuple[str, ...]) -> Frame:
    return frame_of(grid, table, None, names, parse_formula("value"), None)


def _sql_error(answer: httpx.Response) -> TailraceError:
    try:
        told = msgspec.json.decode(answer.content)["error"]
        message, hint = str(told["message"]), str(told["hint"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        message, hint = f"the query process answered {answer.status_code}", "it is tried again with the next window"
    return Invalid(message, hint=hint) if 400 <= answer.status_code < 500 else Unavailable(message, hint=hint)


def statement(rule: Rule, grid: Grid) -> str:
    """The SQL of a rule on a stream or on SQL, for the windows of `grid`."""
    first, last = f"TIMESTAMPTZ '{iso(grid.first_us - grid.over_us)}'", f"TIMESTAMPTZ '{iso(grid.last_us)}'"
    if rule.sql:
        return rule.sql.replace("{{from}}", first).replace("{{to}}", last)
    keys = "".join(f'"{name.replace(chr(34), chr(34) * 2)}", ' for name in rule.by or ())
    condition = f" AND ({rule.where})" if rule.where else ""
    return (
        f"SELECT time_bucket(INTERVAL '{grid.over_us // SECOND_US} seconds', timestamp) AS window_start, {keys}"
        f"CAST({rule.aggregate} AS DOUBLE) AS value FROM {rule.stream} "
        f"WHERE timestamp >= {first} AND timestamp < {last}{condition} GROUP BY ALL"
    )


def step_us(rule: Rule, view: CompiledView | None) -> int:
    """How often a window begins. Raises Invalid where the rule's windows do not fit the view's."""
    if view is None:
        return rule.step_us or (rule.over_us if rule.stream or rule.sql else min(rule.over_us, STEP_US_MIN))
    width_us = view.window_us
    if rule.over_us % width_us or rule.step_us % width_us:
        raise Invalid(
            f"`over` and `step` must be multiples of the windows of view `{view.name}`",
            hint=f"they are {width_us // SECOND_US}s long",
        )
    if rule.step_us:
        return rule.step_us
    fitting = (s for s in range(width_us, rule.over_us, width_us) if rule.over_us % s == 0 and DAY_US % s == 0)
    return next((s for s in fitting if s >= STEP_US_MIN), rule.over_us)


def coarse_step_us(rule: Rule, step: int, span_us: int) -> int:
    """Of a replay: a minute at least where it is long, so that a week takes a moment; always a divisor of `over`."""
    if span_us <= DAY_US or step >= 60 * SECOND_US:
        return step
    fitting = [n * step for n in range(1, rule.over_us // step + 1) if rule.over_us % (n * step) == 0]
    return next((s for s in fitting if s >= 60 * SECOND_US), rule.over_us)
