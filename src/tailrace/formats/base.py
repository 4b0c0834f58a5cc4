"""Values that pass between the steps of a decode: framed lines, the tokens found in them, the finished block.

A format frames a body into lines, then names for each line where the text of each field stands. Turning text into typed
columns is the same for all formats (`columns.py`), so a number or a stamp means the same wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.formats.numbers import Scan
from tailrace.model.endpoint_rules import EndpointRule
from tailrace.model.fields import Fields
from tailrace.model.verdict import Verdict

PAD_BYTES = 64
"""Zero bytes after a buffer's text, so that a fixed-width read at its last byte stays inside."""


ABSENT, STRING, LITERAL = 0, 1, 2
"""Kinds of token. STRING: text between quotes, unescaped. LITERAL: JSON text as it came (number, true, object, ...)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one line. `ahead_of_us`: stamps later than this are dead letters (None: any is kept)."""

    line_bytes_max: int = 1 << 20
    depth_max: int = 32
    ahead_of_us: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a request and the settings say about lines.

    `key_field`: the field whose text is the partition key. `response_time`: unit (`s`, `ms`, `us`) of a trailing response
    time in access logs, or empty to tell by its shape. `endpoint_rules`: what becomes of paths.
    """

    key_field: str = "endpoint"
    response_time: str = ""
    endpoint_rules: tuple[EndpointRule, ...] = ()


@dataclass(slots=True)
class Lines:
    """n framed lines of a body.

    `buffer`: uint8 array, PAD_BYTES zero bytes after its `size` bytes of text. `start`, `end`: where each line stands in it.
    `number`: its number in the post, from 0 (blank lines are counted, not kept). `verdict`: uint8, set by later steps.
    `controls`: ascending positions of bytes below 0x20 other than those between lines (they may be listed too).
    """

    buffer: Any
    size: int
    start: Any
    end: Any
    number: Any
    verdict: Any
    controls: Any

    @property
    def count(self) -> int:
        return len(self.start)

    def text(self, row: int) -> bytes:
        return bytes(self.buffer[self.start[row] : self.end[row]])


@dataclass(slots=True)
class Tokens:
    """Where the text of one field stands in the buffer, for each line. `kind` ABSENT: nowhere (null or missing).

    `numbers`: the texts read as numbers, `instants`: as (microseconds, mask of those that could be read), where a format has done
    that already. `shift`: the value is to be multiplied by 10**shift (one for all lines, or one a line).
    """

    start: Any
    end: Any
    kind: Any
    numbers: Scan | None = None
    shift: Any = 0
    instants: tuple[Any, Any] | None = None

    @staticmethod
    def absent(count: int) -> Tokens:
        return Tokens(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.uint8))

    def drop(self, rows: Any) -> None:
        """Make the lines of the mask `rows` ABSENT."""
        self.kind[rows] = ABSENT


@dataclass(slots=True)
class Side:
    """Text that does not stand in the body as such (unescaped strings); its positions go on where the buffer's text ends."""

    base: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, text: bytes) -> int:
        """The position of `text`."""
        self.parts.append(text)
        at = self.base + self.size
        self.size += len(text)
        return at

    def extend(self, texts: list[bytes]) -> None:
        """Add them one after the other."""
        self.parts += texts
        self.size += sum(map(len, texts))


@dataclass(slots=True)
class Record:
    """What a format found in n lines: `tokens` by field name, `extra` (utf8: JSON object text or null), text beside the body."""

    tokens: dict[str, Tokens]
    extra: pa.Array
    side: Side


@dataclass(frozen=True, slots=True)
class Format:
    """`frame` finds the lines of a body; `tokenize` finds the fields in them and sets `Lines.verdict`."""

    name: str
    about: str
    frame: Callable[[bytes | memoryview], Lines]
    tokenize: Callable[[Lines, Fields, Limits, Options], Record]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The lines of a post, decoded.

    `columns`: `Fields.block_schema()`. `raw`: RAW_SCHEMA. `keys`: partition keys (utf8, null: the raw line is the key).
    `lines`: numbers of the lines in the post, from 0, ascending. All have one entry a line.
    """

    columns: pa.Table
    raw: pa.Table
    keys: pa.Array
    lines: Sequence[int]

    @property
    def count(self) -> int:
        return int(self.columns.num_rows)


def dead(lines: Lines, rows: Any, verdict: Verdict) -> None:
    """Give `verdict` to those of `rows` (mask or indices) that have none yet."""
    chosen = np.zeros(lines.count, bool)
    chosen[rows] = True
    lines.verdict[chosen & (lines.verdict == 0)] = verdict
