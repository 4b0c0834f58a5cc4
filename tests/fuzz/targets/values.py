"""Text that is one value: instants, numbers, durations, sequence numbers, ways to write a stamp.

Oracles: the column-wise way gives what the one-at-a-time way gives; numbers are those of Python's decimals; what is printed reads back.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from typing import Any

import numpy as np

from tailrace.config.listen import parse_listen
from tailrace.errors import Invalid
from tailrace.formats import stamps
from tailrace.formats.base import PAD_BYTES
from tailrace.formats.numbers import UNITS_MAX, scaled, scan
from tailrace.formats.timestamps import FIRST_US, LAST_US, instant, instants
from tailrace.model.sequence import offset_of, sequence_number
from tailrace.model.shard import Shard
from tailrace.model.stamp_format import compiled
from tailrace.model.window import duration_us, iso, parse_iso
from tests.fuzz.target import Target, text_of

_COPIES = 9
_HUGE = re.compile(rb"[eE][+-]?\d{7}")
"""An exponent that Python's decimals may not hold."""
_SHARD = Shard(3, 0, (1 << 128) - 1, 1_795_341_600)


def placed(texts: list[bytes]) -> tuple[Any, Any, Any]:
    """A padded buffer of the texts one after the other; where each begins and ends."""
    buffer = np.frombuffer(b"".join(texts) + bytes(PAD_BYTES), np.uint8)
    end = np.cumsum([len(text) for text in texts])
    return buffer, end - [len(text) for text in texts], end


def run_instant(data: bytes) -> None:
    """Lines are texts; each is read alone, and nine times over as a column among the others."""
    texts = data.split(b"\n")[:4]
    for zone in ("UTC", "Europe/Berlin"):
        alone = [instant(text, zone) for text in texts]
        for found in alone:
            assert found is None or FIRST_US <= found <= LAST_US
        many = [text for text in texts for _ in range(_COPIES)]
        buffer, start, end = placed(many)
        value, good = instants(buffer, start, end, np.ones(len(many), bool), zone)
        together = [int(v) if g else None for v, g in zip(value, good, strict=True)]
        assert together == [each for each in alone for _ in range(_COPIES)], texts
        for each in alone:
            if each is not None:
                assert instant(iso(each).encode()) == each


def run_number(data: bytes) -> None:
    texts = data.split(b"\n")[:4]
    buffer, start, end = placed(texts)
    found = scan(buffer, start, end)
    for places in (0, 3, 6):
        units, good, exact = found.units(np.full(len(texts), places))
        for at, text in enumerate(texts):
            alone = scaled(text, places)
            assert alone == decimal_reading(text, places), text
            if found.plain[at] and alone is not None:
                assert (int(units[at]), bool(exact[at])) == alone, text
                assert good[at]


def decimal_reading(text: bytes, places: int) -> tuple[int, bool] | None:
    """The same, by Python's decimals; texts whose exponent it cannot hold are left to the product."""
    plain = text.strip(b" \t\r\n")
    if _HUGE.search(plain):
        return scaled(text, places)
    try:
        value = Decimal(plain.decode("ascii")) if all(byte in b"0123456789+-.eE" for byte in plain) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        return None
    if value and not -300 < value.adjusted() < 60:
        return scaled(text, places)
    with localcontext(Context(prec=5000)):
        units = int((value.scaleb(places)).quantize(Decimal(1), ROUND_HALF_UP))
        return (units, value.scaleb(places) == units) if abs(units) <= UNITS_MAX else None


def run_duration(data: bytes) -> None:
    found = duration_us(text_of(data))
    assert 0 <= found <= 36_500 * 86_400_000_000


def run_iso(data: bytes) -> None:
    assert parse_iso(iso(parse_iso(text_of(data)))) == parse_iso(text_of(data))


def run_sequence(data: bytes) -> None:
    number = text_of(data)
    assert sequence_number(_SHARD, offset_of(_SHARD, number)) == number


def run_stamp(data: bytes) -> None:
    """The first line is the way to write it, the others are texts: one at a time as in a column."""
    written, *texts = data.split(b"\n")[:4]
    way = text_of(written)
    try:
        compiled(way)
    except ValueError as error:
        raise Invalid(str(error)) from error
    many = [text for text in texts for _ in range(_COPIES)]
    if not many:
        return
    buffer, start, end = placed(many)
    value, good = stamps.read(buffer, start, end, np.ones(len(many), bool), way, "Europe/Berlin")
    for at in range(0, len(many), _COPIES):
        one = placed([many[at]])
        alone, read = stamps.read(*one, np.ones(1, bool), way, "Europe/Berlin")
        assert set(zip(value[at : at + _COPIES].tolist(), good[at : at + _COPIES].tolist(), strict=True)) == {
            (int(alone[0]), bool(read[0]))
        } or not (read[0] or good[at : at + _COPIES].any()), many[at]
        assert not read[0] or FIRST_US <= alone[0] <= LAST_US


def run_listen(data: bytes) -> None:
    _, port = parse_listen(text_of(data))
    assert 0 <= port <= 65_535


_STAMPS = (
    b"2026-11-22T10:00:00.123456Z\n2026-11-22 10:00\n1795341600123\n22/Nov/2026:10:00:00 +0200",
    b"2026-03-29T02:30:00\n1.5e9\n-62135596800\n9999-12-31T23:59:60",
)
TARGETS = (
    Target(
        "instant",
        "stamps: one = a column",
        run_instant,
        _STAMPS,
        (b"T", b"Z", b"+02:00", b".123", b"e9", b"/Nov/", b"\n", b"99999999999999999"),
    ),
    Target(
        "number",
        "numbers: one = a column = Python's decimals",
        run_number,
        (b"41.4\n-0.0005\n1e3\n.5", b"123456789012345678\n+1.\n00.10\n1e-400"),
        (b".", b"e", b"-", b"9" * 18, b"e999999999999", b"\xd9\xa1"),
    ),
    Target(
        "duration",
        "durations",
        run_duration,
        (b"1h30m", b"10s", b"36500d", b"5ms"),
        (b"ms", b"d", b"9" * 15, b"\xd9\xa1s"),
    ),
    Target(
        "iso",
        "instants of parameters",
        run_iso,
        (b"2026-11-22T10:00:00Z", b"20261122", b"2026-W47-7T10:00:00.5+02:00"),
        (b"+23:59", b"0001-01-01", b"9999-12-31", b"T24:00:00", b"-00:00:00.000001"),
    ),
    Target(
        "sequence",
        "sequence numbers",
        run_sequence,
        (sequence_number(_SHARD, 0).encode(), sequence_number(_SHARD, 10**12).encode()),
        (b"4", b"9", b"\xc2\xb2"),
    ),
    Target(
        "stamp_format",
        "ways to write a stamp, and stamps in them",
        run_stamp,
        (
            b"%Y-%m-%d %H:%M:%S,%f\n2026-11-22 10:00:00,123\n2026-1-2 3:4:5,6",
            b"%d %b %y %I:%M:%S %p %z\n22 Nov 26 10:00:00 PM +02:00",
            b"%s\n1795341600",
        ),
        (b"%", b"%f", b"%Z", b"%F", b"%T", b"%%", b"  ", b"\n", b"Nov", b"(", b"99"),
    ),
    Target(
        "listen",
        "addresses to listen on",
        run_listen,
        (b"127.0.0.1:8080", b"[::1]:0", b"localhost:80"),
        (b":", b"[", b"65536", b"\xc2\xb2"),
    ),
)
