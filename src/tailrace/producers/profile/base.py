"""A base data set as columns, whatever it is: an access log, JSON lines, a table with columns of any name, or one of RPC timings.

Which column is what is told by what stands in it; names only settle doubts. Rows that do not fit are left out and counted.
"""

from __future__ import annotations

import csv
import gzip
import ipaddress
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.errors import Invalid
from tailrace.model.window import parse_iso
from tailrace.producers.stamps import read_access

SAMPLE = 500
_FITS_MIN = 0.5
"""Of a column's cells that are not empty, over all rows: fewer, and the column is not what it was taken for."""
_TIME_MAX = 1e19
"""Nanoseconds since 1970 in the year 2286."""
_ACCESS = re.compile(
    r'^(?P<address>\S+) \S+ .*?\[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) \S+(?P<rest>.*)$'
)
_AFTER_AGENT = re.compile(r'(?:^|["\s])(\d+\.\d+|\d+)\s*$')
_REQUEST = re.compile(r"^(?:(?P<method>[A-Z]{3,10}) )?(?P<url>(?:https?://[^/\s]+)?/\S*)(?: HTTP/\S+)?$")
_DAY = re.compile(r"^\[?(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)(?: ([+-]\d{4}))?\]?$")
_ARRAY = re.compile(r"^\ufeff?\s*\[\s*(\{|$)")
_HOST = re.compile(r"^[\w.:-]+$")
_METHOD = re.compile(r"^[A-Za-z][A-Za-z-]{0,19}$")
_NUMBER = re.compile(r"^-?\d+(?:\.\d+)?$")
_TIMES_NAMED = re.compile(
    r"latenc|duration|response_?time|response_?ms|elapsed|request_?time|took|millis", re.IGNORECASE
)
_LABELS = re.compile(r"^(anomaly|label|class)$", re.IGNORECASE)
_ROLES = ("address", "time", "request", "status", "took", "method", "service")


@dataclass(slots=True)
class Base:
    """Rows that could be read, a list each, of equal length; None where a row or the whole file lacks it. Times of events in
    microseconds, `took` in milliseconds. `what`: the kind of file. `columns`: which column was taken for what; `fits`: the share of
    its cells, of those that are not empty, that are that. `skipped`: rows left out.
    """

    what: str
    paths: list[str] = field(default_factory=list)
    services: list[str | None] = field(default_factory=list)
    methods: list[str | None] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    took: list[float | None] = field(default_factory=list)
    addresses: list[str | None] = field(default_factory=list)
    at_us: list[int | None] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    fits: dict[str, float] = field(default_factory=dict)
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.paths)


def read_base(path: Path) -> Base:
    """Raises Invalid for a file that cannot be read, or in which no requests are found."""
    lines = list(_lines(path))
    if not lines:
        raise Invalid(f"`{path}` has no lines", hint="give a log: JSON, CSV, or an access log")
    first = next((line for line in lines if line.strip()), "")
    if _ARRAY.match(first):
        base = _of_rows("JSON array", *_columns_of(_array(path, lines)))
    elif first.lstrip().startswith("{"):
        base = _of_rows("JSON lines", *_json_rows(lines))
    elif _ACCESS.match(first):
        base = _of_access(lines)
    else:
        base = _of_table(lines)
    if not len(base):
        seen = "".join(f", {role} = {name} ({base.fits.get(role, 1):.0%})" for role, name in base.columns.items())
        raise Invalid(
            f"no requests are found in `{path}`: {base.skipped:,} rows were left out; it was read as {base.what}{seen}",
            hint="a base file is an access log, JSON lines or CSV with a URL or path in each row, or a table of RPC times in ms",
        )
    return base


def _lines(path: Path) -> Iterator[str]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", errors="replace")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", errors="replace", newline="") as file
        ):
            for line in file:
                yield line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise Invalid(f"`{path}` cannot be read: {error}", hint="give a log file") from error


def _array(path: Path, lines: Sequence[str]) -> list[object]:
    """All values of one JSON array."""
    try:
        values = json.loads("\n".join(lines))
    except (ValueError, RecursionError) as error:
        raise Invalid(
            f"`{path}` begins as a JSON array and is none: {error}", hint="mend it, or write its objects a line each"
        ) from error
    assert isinstance(values, list), "it begins with a bracket"
    return values


def _of_access(lines: Sequence[str]) -> Base:
    base = Base("access log", columns={"time": "[...]", "request": '"..."'})
    for line in lines:
        if not line.strip():
            continue
        match = _ACCESS.match(line)
        at_us = read_access(line.encode()) if match else None
        if match is None or at_us is None:
            base.skipped += 1
            continue
        seconds = _AFTER_AGENT.search(match["rest"]) if match["rest"].count('"') >= 4 else None
        took = float(seconds[1]) * 1000 if seconds and "." in seconds[1] else None
        _add(base, match["request"], match["status"], match["address"], at_us, took, None, None)
    return base


def _json_rows(lines: Sequence[str]) -> tuple[list[str], list[list[str]], int]:
    """Names of all columns of the first level, rows of text, and lines that are no objects."""
    values: list[object] = []
    for line in lines:
        if line.strip():
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                values.append(None)
    return _columns_of(values)


def _columns_of(values: Sequence[object]) -> tuple[list[str], list[list[str]], int]:
    """The same of values that may be objects."""
    objects = [value for value in values if isinstance(value, dict)]
    skipped = len(values) - len(objects)
    names = list(dict.fromkeys(name for each in objects for name in each))
    rows = [[_text(each.get(name)) for name in names] for each in objects]
    return names, rows, skipped


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)


def _of_table(lines: Sequence[str]) -> Base:
    sample = [line for line in lines[:SAMPLE] if line.strip()]
    delimiter = max(",;\t|", key=lambda sign: sum(sign in line for line in sample) + sample[0].count(sign))
    rows = [row for row in _cells(lines, delimiter) if any(cell.strip() for cell in row)]
    head = rows[0] if rows else []
    named = not any(_is_data(cell) for cell in head)
    if not named:
        names = [f"column {n + 1}" for n in range(len(head))]
    else:
        names, rows = [name.strip() for name in head], rows[1:]
    whole = [row for row in rows if len(row) == len(names)]
    skipped = len(rows) - len(whole)
    if _is_timings(names, whole):
        _check_timings(names, whole, named=named)
        return _of_timings(names, whole, skipped)
    return _of_rows("table", names, whole, skipped)


def _cells(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """The cells of each row; of one that the reader refuses, such as for a cell of 128 KiB, the beginning as one cell."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        at = reader.line_num
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield [lines[at][:SAMPLE]]


def _is_data(cell: str) -> bool:
    text = cell.strip()
    return bool(_NUMBER.match(text)) or _is_address(text) or _time_us(text) is not None or bool(_url(text))


def _is_timings(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """All columns are numbers, several of them, and no one is a time, an address or a URL."""
    sample = rows[:SAMPLE]
    return len(names) >= 3 and len(sample) > 0 and all(_NUMBER.match(cell.strip()) for row in sample for cell in row)


def _check_timings(names: Sequence[str], rows: Sequence[Sequence[str]], *, named: bool) -> None:
    """Numbers alone may be anything: the names must speak of RPCs or of time, and no time is below zero. Raises Invalid."""
    kept = [n for n, name in enumerate(names) if not _LABELS.match(name)]
    calls = [n for n in kept if named and (_TIMES_NAMED.search(names[n]) or _rpc(names[n])[0] != "gateway")]
    seen = (
        f"{len(rows):,} rows of {len(names)} columns of numbers ({', '.join(names[:6])}{', ...' if names[6:] else ''})"
    )
    hint = "name the columns of RPC times SERVICE_METHOD, or give a log with a URL or path in each row"
    if 2 * len(calls) < len(kept):
        raise Invalid(f"{seen} are no log: {len(calls)} of them are named as an RPC or a time", hint=hint)
    below = next((n for n in kept if any(row[n].strip().startswith("-") for row in rows)), None)
    if below is not None:
        raise Invalid(f"{seen} are no RPC times: `{names[below]}` has values below zero", hint=hint)


def _of_timings(names: Sequence[str], rows: Sequence[Sequence[str]], skipped: int) -> Base:
    """A request a row, a column an RPC: each cell is a request of its own endpoint. What a column of labels says is left out."""
    base = Base("RPC timings, ms", skipped=skipped)
    kept = [n for n, name in enumerate(names) if not _LABELS.match(name)]
    for row in rows:
        try:
            values = [float(row[n]) for n in kept]
        except ValueError:
            base.skipped += 1
            continue
        for n, value in zip(kept, values, strict=True):
            service, path = _rpc(names[n])
            base.paths.append(path)
            base.services.append(service)
            base.took.append(value)
    for column in (base.methods, base.statuses, base.addresses, base.at_us):
        column.extend([None] * len(base.paths))
    base.columns = {"took": ", ".join(names[n] for n in kept)}
    return base


def _rpc(name: str) -> tuple[str, str]:
    """(service, path): `ts-order-service_find` and `ItemsControllerFind` name both; the root names the way in."""
    service, found, method = name.partition("_")
    if not found:
        service, found, method = name.partition("Controller")
    if not found or not method:
        return "gateway", f"/{name}"
    return service.lower(), f"/{service}/{method}"


def _of_rows(what: str, names: Sequence[str], rows: Sequence[Sequence[str]], skipped: int) -> Base:
    base = Base(what, skipped=skipped)
    roles = _roles(names, rows[:SAMPLE])
    base.columns = {role: names[n] for role, n in roles.items()}
    base.fits = {role: _fit(role, [row[n].strip() for row in rows]) for role, n in roles.items()}
    if "request" not in roles:
        base.skipped += len(rows)
        return base
    _check_fits(base)
    unit_ms = _unit_ms(names[roles["took"]], [row[roles["took"]] for row in rows]) if "took" in roles else 1.0
    for row in rows:
        cell = {role: row[n].strip() for role, n in roles.items()}
        at_us = _time_us(cell["time"]) if "time" in cell else None
        took = float(cell["took"]) * unit_ms if _NUMBER.match(cell.get("took", "")) else None
        bad_status = "status" in roles and not cell["status"].isdecimal()
        if ("time" in roles and at_us is None) or bad_status or not _url(cell["request"]):
            base.skipped += 1
            continue
        _add(
            base, cell["request"], cell.get("status"), cell.get("address"), at_us, took, cell.get("method"), cell.get("service")
        )  # fmt: skip
    return base


def _fit(role: str, cells: Sequence[str]) -> float:
    """The share of the cells, of those that are not empty, that are what the column is taken for."""
    filled = [cell for cell in cells if cell]
    return sum(_FITS[role](cell) for cell in filled) / len(filled) if filled else 1.0


def _check_fits(base: Base) -> None:
    """Raises Invalid for a column that is not, beyond the first rows, what they made it look like."""
    for role, share in base.fits.items():
        if share < _FITS_MIN:
            raise Invalid(
                f"column `{base.columns[role]}` was taken for the {_MEANT[role]}, but only {share:.0%} of it can be read as that",
                hint="mend or leave out that column; a column that is not needed may have any other name",
            )


def _add(
    base: Base, request: str, status: str | None, address: str | None, at_us: int | None, took: float | None,
    method: str | None, service: str | None,
) -> None:  # fmt: skip
    found = _url(request)
    if found is None:
        base.skipped += 1
        return
    base.paths.append(found[1])
    base.methods.append(method or found[0])
    base.services.append(service or None)
    base.statuses.append(int(status) if status and status.isdecimal() and 100 <= int(status) <= 999 else None)
    base.took.append(took if took is not None and math.isfinite(took) and took >= 0 else None)
    base.addresses.append(address or None)
    base.at_us.append(at_us)


def _roles(names: Sequence[str], sample: Sequence[Sequence[str]]) -> dict[str, int]:
    """Role -> column. The first column that fits is taken; a status has few different values, or a name that says so."""
    found: dict[str, int] = {}
    for n, name in enumerate(names):
        cells = [row[n].strip() for row in sample]
        role = _role(name, [cell for cell in cells if cell])
        if role is not None and (role not in found or (role == "took" and _TIMES_NAMED.search(name))):
            found.setdefault(role, n)
    return found


def _role(name: str, cells: Sequence[str]) -> str | None:
    if not cells:
        return None
    lower = name.lower()

    def mostly(fits: Sequence[object]) -> bool:
        return sum(bool(each) for each in fits) > 0.6 * len(cells)

    if lower in ("method", "verb", "http_method"):
        return "method"
    if lower in ("service", "service_name", "app"):
        return "service"
    if _TIMES_NAMED.search(lower) and mostly([_NUMBER.match(cell) for cell in cells]):
        return "took"
    if mostly([_is_address(cell) for cell in cells]):
        return "address"
    if mostly([_url(cell) for cell in cells]):
        return "request"
    if mostly([len(cell) == 3 and cell.isdecimal() and 100 <= int(cell) <= 599 for cell in cells]) and (
        len(set(cells)) <= 40 or "stat" in lower or "code" in lower
    ):
        return "status"
    return "time" if mostly([_time_us(cell) is not None for cell in cells]) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return not text.isdecimal()


def _url(text: str) -> tuple[str | None, str] | None:
    """(method, path without its query) of `GET /a?b HTTP/1.1`, `/a` or `http://host/a`."""
    match = _REQUEST.match(text)
    if match is None:
        return None
    path = match["url"]
    if not path.startswith("/"):
        path = "/" + path.split("/", 3)[3]
    return match["method"], path.partition("?")[0].partition("#")[0] or "/"


def _time_us(text: str) -> int | None:
    day = _DAY.match(text)
    if day:
        return read_access(f"[{day[1]} {day[2] or '+0000'}]".encode())
    if _NUMBER.match(text):
        value = float(text)
        if value >= _TIME_MAX:
            return None
        unit = next((u for bound, u in ((1e17, 1e-3), (1e14, 1.0), (1e11, 1e3), (1e8, 1e6)) if value >= bound), None)
        return None if unit is None else round(value * unit)
    if len(text) < 10 or not text[:4].isdecimal():
        return None
    try:
        return parse_iso(text.replace(",", ".") if "." not in text else text)
    except Invalid:
        return None


_FITS: dict[str, Callable[[str], bool]] = {
    "address": lambda cell: _is_address(cell) or bool(_HOST.match(cell)),
    "time": lambda cell: _time_us(cell) is not None,
    "request": lambda cell: _url(cell) is not None,
    "status": lambda cell: cell.isdecimal() and 100 <= int(cell) <= 999,
    "took": lambda cell: bool(_NUMBER.match(cell)) and not cell.startswith("-"),
    "method": lambda cell: bool(_METHOD.match(cell)),
    "service": lambda cell: not _NUMBER.match(cell),
}
_MEANT = {
    "address": "address", "time": "time", "request": "URL", "status": "status", "took": "response time",
    "method": "method", "service": "service",
}  # fmt: skip


def _unit_ms(name: str, cells: Sequence[str]) -> float:
    """Milliseconds in one of the column's units: what its name says, else seconds where all of it would be less than a minute in them
    and has a point, else milliseconds."""
    lower = name.lower()
    if lower.endswith(("_us", "micros")):
        return 0.001
    if lower.endswith(("_ms", "millis")) or lower == "latency":
        return 1.0
    if lower.endswith(("_s", "seconds", "secs", "_sec", "request_time")):
        return 1000.0
    numbers = [float(cell) for cell in cells if _NUMBER.match(cell.strip())]
    return 1000.0 if numbers and max(numbers) < 60 and any("." in cell for cell in cells) else 1.0
