"""What a dashboard is: the JSON of a file, of the API and of the page. The schema that people's editors use is made from it.

A member that is left out has the default that stands here. Names of views and columns are not looked up: a panel whose view is gone is
still a panel, and says so by itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PANELS_MAX, VARIABLES_MAX = 200, 50
GRID_COLUMNS = 24
ROW_PX = 40

Uid = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z", description="a-z, 0-9 and -, the same as the file's name")]
Name = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,63}\Z", description="a-z, 0-9 and _, no digit first")]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", description="letters, digits, _ . and -")]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Short = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=4_000)]
Long = Annotated[str, Meta(max_length=100_000)]
Duration = Annotated[
    str, Meta(pattern=r"^([0-9]{1,15}(ms|s|m|h|d))+\Z", description="for example 10s, 15m, 1h30m or 7d")
]
Step = Annotated[
    str, Meta(pattern=r"^(auto|([0-9]{1,15}(ms|s|m|h|d))+)\Z", description="auto, or for example 10s, 1m or 1h")
]
Instant = Annotated[str, Meta(max_length=40, description="ISO 8601, for example 2026-11-22T10:00:00Z")]
Kind = Literal["number", "gauge", "line", "area", "bar", "heatmap", "table", "top", "map", "text", "logs"]


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of all: a member with a wrong name is an error."""


class Time:
    """`Relative` or `Absolute`; told apart by their members."""

    __slots__ = ()


class Relative(Strict, Time, frozen=True):
    """The newest `over`."""

    over: Duration = "15m"


class Absolute(Strict, Time, frozen=True):
    """From one instant up to another."""

    from_: Instant = msgspec.field(name="from")
    to: Instant


class Variable(Strict, frozen=True):
    """A choice above the panels: of the values that `field` has in `view`, or of `values`, or, with neither, free text.

    `default`: what is chosen at first; none: all.
    """

    name: Name
    label: Short = ""
    view: Short | None = None
    field: Short | None = None
    values: Annotated[list[Short], Meta(max_length=1_000)] = []
    multi: bool = True
    default: Annotated[list[Short], Meta(max_length=1_000)] = []


class Place(Strict, frozen=True):
    """On a grid of 24 columns, with rows of 40 px."""

    x: Annotated[int, Meta(ge=0, le=GRID_COLUMNS - 1)] = 0
    y: Annotated[int, Meta(ge=0, le=10_000)] = 0
    w: Annotated[int, Meta(ge=1, le=GRID_COLUMNS)] = 8
    h: Annotated[int, Meta(ge=1, le=100)] = 6


class Data:
    """`ViewData` or `SqlData`; told apart by their members."""

    __slots__ = ()


class ViewData(Strict, Data, frozen=True):
    """Numbers of a view. `fields`: columns, or arithmetic over them, each perhaps with a name: `error_rate = server_errors / requests`.

    `by`: the key column that makes the series; with `total`, the other keys of the view are the bars or rows.
    `where`: a condition over the keys, with variables as `$endpoint`. `step`, `over`: window and stretch of time, those of the
    dashboard by default. `limit`: series or rows at most; the rest are merged to one where the view can. `total`: all windows
    merged into one number a key.
    """

    view: Short
    fields: Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=50)] = []
    by: Short | None = None
    where: Text | None = None
    step: Step = "auto"
    over: Duration | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 5
    order: Short | None = None
    total: bool = False


class SqlData(Strict, Data, frozen=True):
    """The answer of a query, with `$from`, `$to` and the variables in it."""

    sql: Annotated[str, Meta(min_length=1, max_length=20_000)]


class Threshold(Strict, frozen=True):
    """From `value` on, the number is at `level`."""

    value: float
    level: Literal["good", "warn", "bad"] = "warn"


class Options(Strict, frozen=True):
    """How a panel looks. `rate`: counts are divided by the window's seconds. `columns`: of a table or log list, all by default.

    `text`: Markdown, of a text panel. `search`: of a log list. `region`: the part of the world that a map shows.
    """

    unit: Annotated[str, Meta(max_length=32, examples=["ms", "percent", "per_second", "bytes", "count"])] = ""
    decimals: Annotated[int, Meta(ge=0, le=9)] | None = None
    min: float | None = None
    max: float | None = None
    thresholds: Annotated[list[Threshold], Meta(max_length=20)] = []
    orientation: Literal["vertical", "horizontal"] = "vertical"
    stacked: bool = False
    legend: bool = True
    columns: Annotated[list[Short], Meta(max_length=100)] = []
    text: Long = ""
    search: Text = ""
    rate: bool = False
    region: Annotated[str, Meta(max_length=64)] = ""


class Panel(Strict, frozen=True):
    id: Word
    kind: Kind
    title: Short = ""
    description: Text = ""
    place: Place = Place()
    data: Data | None = None
    options: Options = Options()


class Dashboard(Strict, frozen=True):
    """One file. `compare`: show the period that lies so far back as well. `annotations`: the kinds that charts mark."""

    uid: Uid
    title: Title
    panels: Annotated[list[Panel], Meta(max_length=PANELS_MAX)]
    version: Literal[1] = 1
    description: Text = ""
    tags: Annotated[list[Short], Meta(max_length=50)] = []
    time: Time = Relative()
    live: bool = True
    compare: Duration | None = None
    variables: Annotated[list[Variable], Meta(max_length=VARIABLES_MAX)] = []
    annotations: Annotated[list[Word], Meta(max_length=20, extra_json_schema={"default": ["deploy", "alert"]})] = (
        msgspec.field(default_factory=lambda: ["deploy", "alert"])
    )


ORDER = [
    "version",
    "uid",
    "title",
    "description",
    "tags",
    "time",
    "live",
    "compare",
    "variables",
    "annotations",
    "panels",
]
"""Of a file's members. Required ones stand first in the model, as they must."""
