"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def near(name: str, known: Sequence[str]) -> str:
    """A hint: the nearest of the names there are, then all of them if they are few."""
    found = difflib.get_close_matches(name, known, 2, 0.5)
    listed = f"there are: {', '.join(known)}" if len(known) <= 20 else f"there are {len(known)}"
    return f"did you mean {' or '.join(f'`{each}`' for each in found)}? {listed}" if found else listed
