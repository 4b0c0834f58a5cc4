"""A way of reading lines that the settings define: a regular expression, and what its groups are.

Read by `config`, made into a format by `formats.regex`.
"""

from __future__ import annotations

from dataclasses import dataclass

BUILTIN = ("json", "logfmt", "combined", "common", "clf")
"""The formats that need no definition."""
ABSENT = ("", "-")
"""Texts that mean no value, unless a format says otherwise."""


@dataclass(frozen=True, slots=True)
class Group:
    """A named group of the pattern.

    `field`: the field that it feeds; empty: kept in `extra` under the group's name. `shift`: a number is multiplied by 10**shift.
    `stamp`: how an instant is written (`stamp_format`); empty: in any of the known ways. `zone`: of stamps without one; empty: the
    field's.
    """

    name: str
    field: str = ""
    shift: int = 0
    stamp: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Multiline:
    """How lines join into records. Either `start`: a record begins with a line that this RE2 pattern is found in. Or `indented`:
    a line that begins with a blank or a tab continues the record before."""

    start: str = ""
    indented: bool = False


@dataclass(frozen=True, slots=True)
class LineFormat:
    """`pattern`: RE2, found anywhere in a line unless anchored; all its groups are named. `groups`: in the pattern's order."""

    name: str
    pattern: str
    groups: tuple[Group, ...]
    absent: tuple[str, ...] = ABSENT
    multiline: Multiline | None = None

    @property
    def expression(self) -> str:
        """The pattern as it is matched: where a record may have many lines, `.` matches their ends too."""
        return f"(?s){self.pattern}" if self.multiline else self.pattern
