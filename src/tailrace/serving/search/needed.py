"""Which words a record must hold to be found, as the filters beside the row groups of the lake can tell (`batch.lake.words`).

Only what is certain counts: whole words of ASCII. Anything else leaves a group in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tailrace.model.fields import FieldKind, Fields
from tailrace.serving.search.tree import And, Match, Or, Query, Text, Words
from tailrace.views.scope import RecordScope

_WORDS = re.compile(r"[0-9a-z_\u0080-\U0010ffff]+")


@dataclass(frozen=True, slots=True)
class NeededWords:
    """`words`: all those that `may_match` asks about."""

    query: Query
    fields: Fields
    words: tuple[str, ...]

    def may_match(self, holds: Callable[[str], bool]) -> bool:
        """Whether records can fulfil the search where these words are and no others."""
        return _may_match(self.query, RecordScope(self.fields), holds)


def needed_words(query: Query, fields: Fields) -> NeededWords | None:
    """None where no word is needed for certain."""
    asked: dict[str, None] = {}

    def ask(word: str) -> bool:
        asked[word] = None
        return True

    _may_match(query, RecordScope(fields), ask)
    return NeededWords(query, fields, tuple(asked)) if asked else None


def _may_match(query: Query, scope: RecordScope, holds: Callable[[str], bool]) -> bool:
    """Asks about every word, whatever has been answered: that is how they are found."""
    match query:
        case And(of):
            return all([_may_match(each, scope, holds) for each in of])  # noqa: C419
        case Or(of):
            return any([_may_match(each, scope, holds) for each in of])  # noqa: C419
        case Words(text):
            return all([holds(word) for word in whole_words(text)])  # noqa: C419
        case Match(field, text):
            return all([holds(word) for word in _match_words(field, text, scope)])  # noqa: C419
        case _:
            return True


def _match_words(field: str, text: Text, scope: RecordScope) -> list[str]:
    found = scope.field(field)
    if found is None:
        return []  # in `extra` the text is JSON, where a letter may be written in another way
    if found.kind is FieldKind.TEXT:
        return whole_words(text)
    if found.kind is FieldKind.INTEGER and not text.is_wild and re.fullmatch(r"0|[1-9][0-9]{0,8}", text.plain):
        return [text.plain]
    return []


def whole_words(text: Text) -> list[str]:
    """The words of ASCII that stand in a text from end to end: none that a wildcard goes on with."""
    found: list[str] = []
    last = len(text.parts) - 1
    for number, part in enumerate(text.parts):
        lowered = part.lower()
        for match in _WORDS.finditer(lowered):
            goes_on = (number > 0 and match.start() == 0) or (number < last and match.end() == len(lowered))
            if not goes_on and match[0].isascii():
                found.append(match[0])
    return found
