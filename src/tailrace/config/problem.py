"""What is wrong in a settings file, said so that it can be mended without the manual."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.errors import Invalid


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """Makes the errors about the file `name`; they are returned, to be raised by who found them."""

    name: str

    def wrong(self, key: str, value: Any, allowed: str) -> Invalid:
        shown = str(value).lower() if isinstance(value, bool) else value
        return Invalid(f"`{self.name}`: `{key}` cannot be `{shown}`", hint=f"allowed: {allowed}")

    def none_such(self, key: str, value: Any, kind: str, known: Sequence[str]) -> Invalid:
        close = difflib.get_close_matches(str(value), known, 1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        return self.wrong(key, value, f"{meant}one of {kind}: {', '.join(known)}")

    def missing(self, key: str, allowed: str) -> Invalid:
        return Invalid(f"`{self.name}`: `{key}` is missing", hint=f"allowed: {allowed}")

    def unknown(self, key: str, known: Sequence[str], section: str = "") -> Invalid:
        place = f"[{section}] has" if section else "there are"
        close = difflib.get_close_matches(key, known, 1)
        meant = f"did you mean `{close[0]}`? " if close else ""
        full = f"{section}.{key}" if section else key
        return Invalid(f"`{self.name}`: there is no setting `{full}`", hint=f"{meant}{place}: {', '.join(known)}")
