"""An application's pumps, one after the other along the streams they read from, into streams and views of ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from tailrace.errors import ViewError
from tailrace.model.fields import Fields
from tailrace.views.compile import compile_view
from tailrace.views.folder import shipped_views
from tailrace.views.kinesis_analytics import statements as st
from tailrace.views.kinesis_analytics.build_view import Columns, ViewBuilder
from tailrace.views.kinesis_analytics.expressions import SCALES, as_sql, field_of, name_of_column, turned
from tailrace.views.kinesis_analytics.mapping import Mapping
from tailrace.views.kinesis_analytics.report import Finding, Kind
from tailrace.views.kinesis_analytics.select import CannotTurnError, Stagger, parse_select
from tailrace.views.kinesis_analytics.statements import CreateStream, Name, Other, Pump
from tailrace.views.parse import RESERVED_NAMES, Source
from tailrace.views.stream import StreamText, Unusable, compile_stream, link_streams, parse_stream_text

LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Converted:
    """`files`: name -> text, streams first. `report`: in the order of the application's text."""

    files: dict[str, str]
    report: list[Finding]

    @property
    def complete(self) -> bool:
        return all(each.kind is not Kind.NOT_TURNED for each in self.report)


@dataclass(frozen=True, slots=True)
class Origin:
    """What an in-application stream is. `base`: what FROM names. `columns`: by key, over our fields; None: the input itself.

    `view`: it holds results of that view; then there is nothing to read from it.
    """

    base: str
    columns: dict[str, exp.Expr] | None = None
    view: str = ""


@dataclass(slots=True)
class _Work:
    source: Source
    mapping: Mapping
    fields: Fields
    created: dict[str, CreateStream]
    files: dict[str, str] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    origins: dict[str, Origin | None] = field(default_factory=dict)
    report: list[Finding] = field(default_factory=list)
    members: dict[str, int] = field(default_factory=dict)

    def say(self, kind: Kind, at: exp.Expr | int, subject: str, text: str, hint: str = "") -> None:
        line, column = self.source.position(at if isinstance(at, int) else self.source.offset(at))
        self.report.append(Finding(kind, line, column, subject, text, hint))


def convert(text: str, mapping: Mapping) -> Converted:
    """Raises ViewError for a text that cannot be cut into statements, or has none."""
    source, found = st.read(text)
    if not found:
        raise source.error("there is no statement", 0, "give the SQL of the application")
    created = {each.name.key: each for each in found if isinstance(each, CreateStream)}
    work = _Work(source, mapping, mapping.fields, created)
    for each in found:
        if isinstance(each, Other):
            _say_other(work, each)
    _turn_pumps(work, [each for each in found if isinstance(each, Pump)])
    for key, stream in created.items():
        if key not in work.origins:
            work.say(
                Kind.CHANGED, stream.name.at, f"stream {stream.name.shown}", "nothing is inserted into it: left out"
            )
    for name, at in work.members.items():
        hint = f"if it has another name: --map {name}=FIELD or --map {name}=extra.member; or give --schema"
        member = (
            mapping.target(Name(name, name, at))
            if name.isupper()
            else mapping.target(Name(name, name, at, quoted=True))
        )
        work.say(Kind.CHANGED, at, f"column {name}", f"no field has its name: it is read as {member.sql}", hint)
    files = {**work.streams, **work.files}
    return Converted(files, sorted(work.report, key=lambda each: (each.line, each.column)))


def _say_other(work: _Work, other: Other) -> None:
    subject = f"statement {other.words}"
    if other.problem:
        work.say(Kind.NOT_TURNED, other.at, subject, other.problem, "mend it, or write the view by hand: docs/views.md")
    elif other.words.startswith(("ALTER PUMP", "START", "DROP")):
        work.say(
            Kind.CHANGED,
            other.at,
            subject,
            "left out: streams and views run from the moment that their files are there",
        )
    else:
        hint = "write what it does as a view or a stream: docs/views.md"
        work.say(Kind.NOT_TURNED, other.at, subject, "only CREATE STREAM and CREATE PUMP are turned", hint)


def _turn_pumps(work: _Work, pumps: list[Pump]) -> None:
    """Each after those that feed what it reads from."""
    fed: dict[str, list[Pump]] = {}
    for pump in pumps:
        fed.setdefault(pump.target.key, []).append(pump)
    waiting = list(pumps)
    while waiting:
        ready = [pump for pump in waiting if not _reads(pump) & {each.target.key for each in waiting}]
        for pump in ready or waiting:
            if ready:
                _turn(work, pump, alone=len(fed[pump.target.key]) == 1)
            else:
                work.origins[pump.target.key] = None
                hint = "a stream cannot read from what is made of it"
                work.say(Kind.NOT_TURNED, pump.name.at, f"pump {pump.name.shown}", "its streams go in a circle", hint)
        waiting = [pump for pump in waiting if pump not in (ready or waiting)]


def _reads(pump: Pump) -> set[str]:
    """Keys of the names behind FROM and JOIN."""
    words = [st.word(token) for token in pump.select]
    return {
        st.name_of(pump.select[at + 1]).key
        for at, found in enumerate(words[:-1])
        if found in ("FROM", "JOIN") and words[at + 1] != "("
    }


def _turn(work: _Work, pump: Pump, *, alone: bool) -> None:
    subject = f"pump {pump.name.shown}"
    try:
        tree, stagger = parse_select(pump.select, work.source)
        origin = _origin(work, tree, subject)
        if stagger or tree.find(exp.AggFunc, exp.Window) or tree.args.get("group"):
            made = _view(work, pump, tree, stagger, origin, subject, alone=alone)
        else:
            made = _records(work, pump, tree, origin, subject, alone=alone)
        work.origins[pump.target.key] = made
    except CannotTurnError as error:
        work.origins.setdefault(pump.target.key, None)
        work.say(Kind.NOT_TURNED, error.at or pump.select[0].start, subject, error.text, error.hint)
    except RecursionError:
        work.origins.setdefault(pump.target.key, None)
        work.say(Kind.NOT_TURNED, pump.select[0].start, subject, "an expression that is too long", "split it")


def _origin(work: _Work, tree: exp.Select, subject: str) -> Origin:
    """What FROM names. Raises CannotTurnError."""
    joins = [*(tree.args.get("joins") or ()), *(tree.args.get("laterals") or ())]
    if joins:
        raise CannotTurnError(
            "a join: a record would count by what another stream or table held when it came",
            joins[0],
            "put what is needed into the records before they are sent, or join when you read: POST /v1/query",
        )
    table = tree.args["from_"].this if tree.args.get("from_") else None
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise CannotTurnError(
            "it reads from something that is no stream", table or tree, "make a stream of it, in a pump of its own"
        )
    if tree.args.get("distinct"):
        raise CannotTurnError("SELECT DISTINCT", tree, "group by the columns, in a view")
    name = name_of_column(exp.Column(this=table.this))
    if name.key not in work.created:
        if name.key not in work.origins:
            work.origins[name.key] = Origin(LOGS)
            work.say(Kind.TURNED, name.at, f"input {name.shown}", "is `logs`: all records that the node has")
        return work.origins[name.key] or Origin(LOGS)
    origin = work.origins.get(name.key)
    if origin is None:
        why = "was not turned" if name.key in work.origins else "has no pump that inserts into it"
        raise CannotTurnError(f"it reads from `{name.shown}`, which {why}", name.at, "mend that first")
    if origin.view:
        raise CannotTurnError(
            f"it reads from the results of view `{origin.view}`: views are of records, so that a late one can be counted",
            name.at,
            f"read it instead: GET /v1/views/{origin.view}?step=... merges windows; POST /v1/query takes SELECT ... FROM {origin.view}",
        )
    return origin


def _resolver(work: _Work, origin: Origin, scale: int) -> Callable[[exp.Column], exp.Expr]:
    def resolve(column: exp.Column) -> exp.Expr:
        name = name_of_column(column)
        if origin.columns is None:
            found = field_of(column, work.mapping, scale)
            if "extra" in as_sql(found) and name.key not in work.mapping.given:
                work.members.setdefault(name.key if not name.quoted else name.shown, name.at)
            return found
        known = origin.columns.get(name.key)
        if known is not None:
            return known.copy()
        if name.key in ("ROWTIME", "APPROXIMATE_ARRIVAL_TIME"):
            return field_of(column, work.mapping, scale)
        raise CannotTurnError(f"the stream has no column `{name.shown}`", column, "see its CREATE STREAM")

    return resolve


def _records(work: _Work, pump: Pump, tree: exp.Select, origin: Origin, subject: str, *, alone: bool) -> Origin:
    """A pump that chooses and computes, and aggregates nothing: a stream of ours, or nothing but other names for columns."""
    if not alone:
        raise CannotTurnError(
            f"several pumps insert records into `{pump.target.shown}`",
            pump.target.at,
            "give each a stream of its own, or write one stream with OR between the conditions",
        )
    resolve = _resolver(work, origin, SCALES[0])
    names = Columns.of(pump, work.created.get(pump.target.key), tree)
    columns: dict[str, exp.Expr] = {}
    for item, name in zip(tree.expressions, names.keys, strict=False):
        if isinstance(item, exp.Star):
            if origin.columns is None:
                columns = {}
                break
            columns |= origin.columns
            continue
        columns[name] = turned(item.unalias(), resolve)
    where = tree.args.get("where")
    if where is None:
        text = f"only renames or computes columns: what reads `{pump.target.shown}` reads `{origin.base}`"
        work.say(Kind.TURNED, pump.name.at, subject, text)
        return Origin(origin.base, columns or None)
    condition = as_sql(turned(where.this, resolve))
    name = _free_name(work, pump.target)
    work.streams[name] = f"CREATE STREAM {name} AS SELECT * FROM {origin.base} WHERE {condition};\n"
    try:
        compile_stream(work.streams[name], work.fields, *_linked(work, but=name))
    except ViewError as error:
        del work.streams[name]
        raise CannotTurnError(f"its condition cannot be used: {error.message}", where, error.hint) from error
    work.say(Kind.TURNED, pump.name.at, subject, f"stream `{name}`: records of `{origin.base}` where {condition}")
    return Origin(name, columns or None)


def _view(
    work: _Work, pump: Pump, tree: exp.Select, stagger: Stagger | None, origin: Origin, subject: str, *, alone: bool
) -> Origin:
    names = Columns.of(pump, work.created.get(pump.target.key), tree)
    name = _free_name(work, pump.target if alone else Name("", f"{pump.target.shown}_{pump.name.shown}", pump.name.at))
    problem: ViewError | None = None
    for scale in SCALES:
        builder = ViewBuilder(name, origin.base, tree, stagger, names, _resolver(work, origin, scale), work.mapping)
        text = builder.text()
        try:
            compile_view(text, work.fields, link_streams(*_linked(work)))
            break
        except ViewError as error:
            problem = problem or error
    else:
        assert problem is not None, "each scale was tried"
        raise CannotTurnError(
            f"it cannot be a view: {problem.message.partition(': ')[2]}", pump.select[0].start, problem.hint
        )
    work.files[name] = text
    work.say(Kind.TURNED, pump.name.at, subject, builder.summary(), builder.reading())
    for note in builder.notes:
        work.say(Kind.CHANGED, note.at, subject, note.text, note.hint)
    return Origin("", view=name)


def _linked(work: _Work, *, but: str = "") -> tuple[list[StreamText], dict[str, Unusable]]:
    return [parse_stream_text(text, work.fields) for name, text in work.streams.items() if name != but], {}


def _free_name(work: _Work, wanted: Name) -> str:
    """In lower case, of letters and digits; not one that is taken."""
    name = re.sub(r"[^a-z0-9_]+", "_", wanted.shown.lower()).strip("_")[:50] or "view"
    name = name if name[0].isalpha() and not _is_word_of_sql(name) else f"v_{name}"
    taken = {*work.files, *work.streams, *RESERVED_NAMES, *(shipped for shipped, _ in shipped_views())}
    if name not in taken:
        return name
    return next(f"{name}_{number}" for number in range(2, 10_000) if f"{name}_{number}" not in taken)


def _is_word_of_sql(name: str) -> bool:
    """Such as `select`, which could not stand behind FROM."""
    try:
        table = parse_one(f"SELECT * FROM {name}", dialect="duckdb").args["from_"].this
    except ParseError:
        return True
    return not isinstance(table, exp.Table) or table.name != name
