"""What the importer says of each thing that it turned, chose or left."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """TURNED: means the same. CHANGED: turned, and differs as said. NOT_TURNED: left out; `hint` says what to do instead."""

    TURNED = "turned"
    CHANGED = "changed"
    NOT_TURNED = "not turned"


@dataclass(frozen=True, slots=True)
class Finding:
    """`line`, `column`: in the application's SQL, from 1. `subject`: the statement, `pump P` for example."""

    kind: Kind
    line: int
    column: int
    subject: str
    text: str
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "line": self.line,
            "column": self.column,
            "subject": self.subject,
            "text": self.text,
            "hint": self.hint,
        }
