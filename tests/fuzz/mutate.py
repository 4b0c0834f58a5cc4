"""Random changes of inputs, from a seed: what `make test` tries where the coverage-guided fuzzer is not installed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.fuzz.target import Target

_ODD = (
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\n",
    b"\r\n",
    b'"',
    b"'",
    b"\\",
    b"{",
    b"[",
    b"(",
    b"%",
    b"-",
    b"0",
    b"9" * 30,
)
_REPEATS = (2, 3, 40, 700)


def mutations(target: Target, count: int, seed: int) -> Iterator[bytes]:
    """So many inputs, each a seed of the target with one to five changes."""
    chance = random.Random(f"{target.name} {seed}")
    seeds = [seed for seed in target.seeds if seed]
    for _ in range(count):
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, 5)):
            data = _changed(data, target, seeds, chance)
        yield data[: target.bytes_max]


def _changed(data: bytes, target: Target, seeds: list[bytes], chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.choice((1, 1, 2, 8, 64)))
    match chance.randrange(7):
        case 0:
            return data[:at] + data[end:]
        case 1:
            return data[:at] + data[at:end] * chance.choice(_REPEATS) + data[end:]
        case 2:
            return data[:at] + bytes([chance.randrange(256)]) + data[end:]
        case 3:
            return data[:at] + chance.choice(_ODD) + data[end:]
        case 4 if target.words:
            return data[:at] + chance.choice(list(target.words)) + data[end:]
        case 5:
            other = chance.choice(seeds)
            return data[:at] + other[chance.randint(0, len(other)) :]
        case _:
            flipped = bytearray(data or b"x")
            flipped[min(at, len(flipped) - 1)] ^= 1 << chance.randrange(8)
            return bytes(flipped)
