"""The engine's errors in our terms. Its words and its line with a caret are kept; paths of this machine are not."""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from tailrace.config.settings import QuerySettings
from tailrace.errors import InternalError, Invalid, TailraceError, Timeout, TooLarge

ENGINE_ERRORS = (duckdb.Error, pa.ArrowException, OSError)
"""What running a statement or reading its rows may raise: errors that strike while rows stream come through Arrow."""

_KIND = re.compile(r"^(?P<kind>[A-Za-z ]+?) Error: (?P<text>.*)", re.DOTALL)
_LINE = re.compile(r"\bLINE (\d+):")
_FAULTS = frozenset({"", "IO", "Serialization", "FATAL", "INTERNAL", "Internal"})


class Interrupted(TailraceError):
    """The statement was stopped because nobody waits for it any more."""

    code = "cancelled"
    http_status = 499


def invalid(error: Exception) -> Invalid:
    """The user's mistake, in the engine's words."""
    _, text = _parts(error)
    return Invalid(text)


def translate(
    error: Exception,
    limits: QuerySettings,
    *,
    timed_out: bool,
    hidden: Sequence[str] = (),
    lines_before: int = 0,
) -> TailraceError:
    """`hidden`: texts that must not leave this machine. `lines_before`: lines of ours before the user's first."""
    kind, text = _parts(error)
    for secret in hidden:
        text = text.replace(secret, "")
    text = _LINE.sub(lambda match: f"LINE {int(match[1]) - lines_before}:", text)
    if kind == "INTERRUPT":
        if timed_out:
            return Timeout(
                f"the query took longer than `{limits.timeout_s:g}` s",
                hint="narrow the time range with WHERE timestamp >= ..., or read a view instead of logs",
            )
        return Interrupted("the query was cancelled")
    if kind == "Out of Memory" or isinstance(error, MemoryError):
        return TooLarge(
            f"the query needs more than `{limits.memory_bytes_max >> 20}` MiB of memory",
            hint="group by fewer keys, order fewer rows, or narrow the time range",
        )
    if kind in _FAULTS:
        return InternalError(f"the query could not be run: {text}", hint="see the query process's log")
    return Invalid(text)


def _parts(error: Exception) -> tuple[str, str]:
    match = _KIND.match(str(error).strip())
    if match is None:
        return "", str(error)
    return match["kind"], match["text"].strip()
