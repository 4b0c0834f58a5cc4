"""Log buckets and HyperLogLog, written from their definitions with Python integers; shares nothing with the product."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

REGISTERS = 4096


def bucket(value: int) -> int:
    """64 buckets for each power of two; a negative value mirrors its absolute one."""
    if value < 0:
        return -1 - bucket(-value)
    shift = max(value.bit_length() - 7, 0)
    return shift * 64 + (value >> shift)


def bucket_bounds(number: int) -> tuple[int, int]:
    """Least and greatest value of a bucket."""
    if number < 0:
        low, high = bucket_bounds(-1 - number)
        return -high, -low
    shift = max(number // 64 - 1, 0)
    low = (number - shift * 64) << shift
    return low, low + (1 << shift) - 1


def histogram(values: Iterable[int]) -> Counter[int]:
    return Counter(bucket(value) for value in values)


def ranked_bucket(bins: Mapping[int, int], share: Fraction) -> int | None:
    """The bucket that holds the value of rank ceil(share * n), counted from 1 (rank 1 for share 0)."""
    total = sum(bins.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for number in sorted(bins):
        seen += bins[number]
        if seen >= rank:
            return number
    raise AssertionError("the counts do not reach the rank")


def register_of(text: str) -> tuple[int, int]:
    """(register, rank): the first three hex digits of MD5; leading zero bits of the other 116 bits + 1, at most 60."""
    digits = hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()
    rest = int(digits[3:], 16)
    return int(digits[:3], 16), min(116 - rest.bit_length() + 1, 60)


def registers(texts: Iterable[str]) -> dict[int, int]:
    """Register -> largest rank, for those that are not empty."""
    found: dict[int, int] = {}
    for text in texts:
        register, rank = register_of(text)
        found[register] = max(found.get(register, 0), rank)
    return found


def estimate(found: Mapping[int, int]) -> int:
    """HyperLogLog's estimate, with linear counting while many registers are empty. Source: Flajolet et al., 2007.

    The harmonic sum is taken in integers, in units of 2**-60.
    """
    empty = REGISTERS - len(found)
    scaled = (empty << 60) + sum(1 << (60 - rank) for rank in found.values())
    alpha = 0.7213 / (1 + 1.079 / REGISTERS)
    raw = alpha * REGISTERS * REGISTERS * 2.0**60 / scaled
    if raw <= 2.5 * REGISTERS and empty:
        return round(REGISTERS * math.log(REGISTERS / empty))
    return round(raw)


def variance(values: Sequence[int], unit: int, *, sample: bool) -> float | None:
    """Of whole numbers in units of 1 / `unit`, from the definition: the mean square of the distance from the mean.

    Exact, then rounded in one division, whose two sides a double holds (the tests' numbers are small enough).
    """
    degrees = len(values) - sample
    if degrees < 1:
        return None
    mean = Fraction(sum(values), len(values))
    squares = sum(((value - mean) ** 2 for value in values), Fraction(0))
    return float(squares * len(values)) / (len(values) * degrees * unit**2)


def deviation(values: Sequence[int], unit: int, *, sample: bool) -> float | None:
    """The root of the variance."""
    found = variance(values, unit, sample=sample)
    return None if found is None else math.sqrt(found)


def earliest(pairs: Iterable[tuple[int, Any]]) -> Any:
    """The value of the smallest pair (time, value); None if there is none."""
    return min(pairs, default=(0, None))[1]


def latest(pairs: Iterable[tuple[int, Any]]) -> Any:
    """The value of the largest pair (time, value); None if there is none."""
    return max(pairs, default=(0, None))[1]
