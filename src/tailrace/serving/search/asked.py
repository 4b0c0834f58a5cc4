"""What requests of Explore say, as values, and the parts that they share."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import msgspec

from tailrace.errors import Invalid
from tailrace.model.window import parse_iso
from tailrace.serving.search.pieces import EARLIEST_US, LATEST_US, Times

COLUMNS_MAX = 200
_HINT = "see docs/explore.md, or /openapi.json"
_Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_SampleRows = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Scope(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Which records. `query`: in the search language; `sql`: a condition over the fields; both must hold. `from_`, `to`: ISO 8601.

    `at`: a position; lines after it do not count.
    """

    query: str = ""
    sql: str | None = None
    from_: str | None = None
    to: str | None = None
    at: str | None = None

    def times(self) -> Times:
        """Raises Invalid for what is no time, and for a range without any."""
        first = EARLIEST_US if self.from_ is None else instant(self.from_, "from")
        end = LATEST_US if self.to is None else instant(self.to, "to")
        if first >= end:
            raise Invalid("the time range is empty: `from` is not before `to`", hint="choose a later `to`")
        return Times(first, end)


def instant(text: str, name: str) -> int:
    try:
        return parse_iso(text)
    except (Invalid, OverflowError) as error:
        raise Invalid(f"`{name}` is no time: `{text[:40]}`", hint="write it like 2026-11-22T10:00:00Z") from error


class PageAsked(Scope):
    """`cursor`: of the page before; it goes on in the same moment. `columns`: names of fields, and of `extra` by dotted name."""

    limit: _Limit = 100
    cursor: str | None = None
    order: Literal["newest", "oldest"] = "newest"
    columns: list[str] | None = None


class HistogramAsked(Scope):
    """`group_by`: a field; its most frequent values by themselves. `sample_rows`: look at about so many; 0: at all."""

    buckets: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60
    group_by: str | None = None
    top: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5
    sample_rows: _SampleRows = 50_000_000


class FieldsAsked(Scope):
    sample_rows: _SampleRows = 200_000


class ValuesAsked(Scope, kw_only=True):
    field: str
    limit: _Limit = 10
    prefix: str = ""
    sample_rows: _SampleRows = 2_000_000


class ContextAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Records around one, in its shard."""

    shard: str
    sequence_number: str
    before: Annotated[int, msgspec.Meta(ge=0, le=500)] = 10
    after: Annotated[int, msgspec.Meta(ge=0, le=500)] = 10


class ExportAsked(Scope):
    format: Literal["csv", "ndjson", "parquet"] = "ndjson"
    columns: list[str] | None = None


class CompareAsked(msgspec.Struct, forbid_unknown_fields=True):
    """`selection` against `baseline` without it. `fields`: only these."""

    selection: Scope
    baseline: Scope | None = None
    fields: list[str] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    sample_rows: Annotated[int, msgspec.Meta(ge=1000, le=5_000_000)] = 300_000


class Cursor(msgspec.Struct, forbid_unknown_fields=True):
    """The last record of a page, and the moment."""

    at_us: Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
    shard: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    position: str

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()


def read_cursor(text: str) -> Cursor:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise Invalid("the cursor is damaged", hint="use `cursor` of the page before, whole") from error


def read_body(body: bytes, kind: Any) -> Any:
    """Raises Invalid for what is no such request."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the request cannot be read: {error}", hint=_HINT) from error
