"""Text to exact integers in a field's fixed-point unit: never through a float.

`scaled` says what a text means, one at a time; `scan` does the plain ones (`-?digits[.digits]`, up to 18 digits) for a
whole column and leaves the others to it. Both give the same integers (property test).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailrace.formats.words import characters

UNITS_MAX = 10**18 - 1
"""DECIMAL(18, s): the largest magnitude in units."""

_NUMBER = re.compile(rb"([+-]?)(\d+)?(?:\.(\d*))?(?:[eE]([+-]?\d+))?")
_BLANK = b" \t\r\n"
_DIGITS_MAX = 18
_WIDTH_MAX = 24
_POWERS = 10 ** np.arange(_DIGITS_MAX + 1, dtype=np.int64)


def scaled(text: bytes, places: int) -> tuple[int, bool] | None:
    """`text` x 10**places, rounded half away from zero, and whether that was exact. None: no number, or out of range.

    A number is an optional sign, digits with an optional point, an optional exponent; blanks around it do not count.
    """
    parts = split(text, places, _DIGITS_MAX)
    if parts is None:
        return None
    negative, units, dropped = parts
    units += dropped[:1] >= b"5"
    if units > UNITS_MAX:
        return None
    return (-units if negative else units), not dropped.strip(b"0")


def split(text: bytes, places: int, digits_max: int) -> tuple[bool, int, bytes] | None:
    """|`text`| x 10**places as (negative, whole part, the digits after its point). None: no number, or a longer whole part."""
    match = _NUMBER.fullmatch(text.strip(_BLANK))
    if match is None or not (match[2] or match[3]):
        return None
    whole, fraction = match[2] or b"", match[3] or b""
    digits = (whole + fraction).lstrip(b"0")
    if not digits:
        return False, 0, b""
    point = len(digits) - len(fraction) + _clamped(match[4]) + places
    if point > digits_max:
        return None
    if point < 0:
        return match[1] == b"-", 0, b"0" + digits
    return match[1] == b"-", int(digits[:point].ljust(point, b"0") or b"0"), digits[point:]


def _clamped(exponent: bytes | None) -> int:
    """An exponent so large that only its sign matters is cut, whatever its length. A line may be millions of digits long."""
    if not exponent:
        return 0
    sign = -1 if exponent.startswith(b"-") else 1
    size = exponent.lstrip(b"+-0")
    return sign * (int(size or b"0") if len(size) < 9 else 10**9)


@dataclass(frozen=True, slots=True)
class Scan:
    """Columns over n texts. `plain`: the text is `-?digits[.digits]` with at most 18 digits; only there hold the others.

    Value = (-1 if `negative`) * `digits` / 10**`places`. `json`: it is also a number by JSON's grammar (no leading zero).
    """

    plain: Any
    negative: Any
    digits: Any
    places: Any
    json: Any

    def units(self, places: Any) -> tuple[Any, Any, Any]:
        """As `scaled`, for all: (units, in range, exact). `places`: one int or one a row. Holds where `plain`."""
        up = places - self.places
        if up.min(initial=0) >= 0 and up.max(initial=0) <= 9 and self.digits.max(initial=0) < 10**9:
            units = self.digits * _POWERS[up]  # no digit is cut off, and none runs over
            fits, exact = np.ones((2, len(units)), bool)
            return np.where(self.negative, -units, units), fits, exact
        grow = _POWERS[np.clip(up, 0, _DIGITS_MAX)]
        cut = _POWERS[np.clip(-up, 0, _DIGITS_MAX)]
        fits = (self.digits <= UNITS_MAX // grow) & ((up <= _DIGITS_MAX) | (self.digits == 0))
        whole, rest = np.divmod(np.where(fits, self.digits, 0), cut)
        tiny = -up > _DIGITS_MAX
        units = np.where(tiny, 0, whole * np.where(fits, grow, 1) + (rest >= cut - cut // 2) * (cut > 1))
        exact = (rest == 0) & ~(tiny & (self.digits != 0))
        return np.where(self.negative, -units, units), fits & (units <= UNITS_MAX), exact


def scan(buffer: Any, start: Any, end: Any) -> Scan:
    """Read the texts at `start`..`end` of the padded uint8 `buffer`."""
    length = end - start
    width = min(int(length.max(initial=0)), _WIDTH_MAX)
    small: Any = np.int32 if width <= 9 else np.int64
    digits: Any = np.zeros(len(start), small)
    places: Any = np.zeros(len(start), np.int8)
    plain = (length > 0) & (length <= width)
    negative = point = leading_zero = np.zeros(len(start), bool)
    seen, whole = places.copy(), places.copy()
    shortest = int(length.min(initial=width))
    for at, column in enumerate(characters(buffer, start, width)):
        value = column - np.uint8(ord("0"))
        digit = value <= 9
        if at >= shortest:
            digit &= at < length
        if at == 1:
            leading_zero = digit & (digits == 0) & ~negative
        elif at == 2:
            leading_zero |= digit & negative & (digits == 0) & ~point & (seen == 1)
        if digit.all():
            digits = digits * small(10) + value
        else:
            known = digit | (at >= length) if at >= shortest else digit.copy()
            if at == 0:
                negative = column == ord("-")
                known |= negative
            else:
                dot = (column == ord(".")) & ~point & (whole > 0) & (at < length)
                known |= dot
                point = point | dot
            plain &= known
            digits = np.where(digit, digits * small(10) + value, digits)
        seen += digit
        behind = digit & point
        places += behind
        whole += digit & ~behind
    plain &= (whole > 0) & (seen <= _DIGITS_MAX) & (~point | (places > 0))
    return Scan(plain, negative, digits.astype(np.int64), places.astype(np.int64), plain & ~leading_zero)
