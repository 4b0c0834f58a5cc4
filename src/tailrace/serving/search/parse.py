"""Text -> search. Every error says where it is and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.serving.search.tree import (
    KEYWORDS,
    And,
    Compare,
    Everything,
    Exists,
    Match,
    Not,
    Or,
    Query,
    Range,
    SearchError,
    Text,
    Words,
)

CHARS_MAX = 10_000
DEPTH_MAX = 100
_ENDS = frozenset(' \t\r\n\f\v()[]"')


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as it stood. `colon`: it is followed by one, and so is a field's name. `escaped`: some of it by a backslash."""

    text: Text
    start: int
    end: int
    colon: bool = False
    escaped: bool = False

    @property
    def keyword(self) -> str:
        word = self.text.plain.lower()
        return word if word in KEYWORDS and not (self.text.quoted or self.escaped or self.colon) else ""


def parse_search(text: str) -> Query:
    """Raises SearchError. An empty search, and `*`, is everything."""
    if len(text) > CHARS_MAX:
        raise SearchError(
            f"the search is longer than `{CHARS_MAX}` characters", hint="use SQL with IN (...) for a list"
        )
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Query:
        if self._peek() == "":
            return Everything()
        query = self._either(None)
        if rest := self._peek():
            closing = rest == ")"
            raise self._error(
                f"`{rest}` does not belong here",
                hint="take it away: no ( is open" if closing else f'put it in quotes: "{rest}"',
            )
        return query

    # -- and, or, not ---------------------------------------------------------------------------------------------------

    def _either(self, field: str | None) -> Query:
        found = [self._all(field)]
        while self._keyword("or"):
            found.append(self._all(field))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _all(self, field: str | None) -> Query:
        found = [self._one(field)]
        while True:
            if self._keyword("and") or (self._peek() not in ("", ")", "]") and not self._is_keyword("or")):
                found.append(self._one(field))
            else:
                return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self, field: str | None) -> Query:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._error("the search is nested too deeply", hint="take parentheses away")
        try:
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2].strip():
                self._at += 1
                return Not(self._one(field))
            if self._keyword("not"):
                return Not(self._one(field))
            return self._group(field) if self._peek() == "(" else self._leaf(field)
        finally:
            self._depth -= 1

    def _group(self, field: str | None) -> Query:
        start = self._at
        self._at += 1
        query = self._either(field)
        if self._peek() != ")":
            raise self._error("the ( is never closed", at=start, hint="add a )")
        self._at += 1
        return query

    # -- what is asked of a record --------------------------------------------------------------------------------------

    def _leaf(self, field: str | None) -> Query:
        if field is not None:
            return self._of_field(field)
        value = self._value()
        if value.keyword:
            raise self._error(
                f"a search cannot go on with `{value.text.plain}`", at=value.start, length=value.end - value.start,
                hint=f'write what is searched for, or "{value.text.plain}" for the word itself',
            )  # fmt: skip
        if not value.colon:
            return Everything() if value.text.parts == ("", "") else Words(value.text)
        if value.text.is_wild or not value.text.plain:
            raise self._error("a field has no wildcard", at=value.start, length=value.end - value.start,
                              hint="name one field, or search for the text alone")  # fmt: skip
        if self._text[self._at : self._at + 1].isspace() or self._peek() in ("", ")"):
            raise self._error(
                f"a value is missing after `{value.text.plain}:`", at=value.start, length=self._at - value.start,
                hint=f"write {value.text.plain}:value, without a space, or {value.text.plain}:* for any",
            )  # fmt: skip
        return self._group(value.text.plain) if self._peek() == "(" else self._of_field(value.text.plain)

    def _of_field(self, field: str) -> Query:
        here = self._peek()
        if here == "[":
            return self._bracket(field)
        if here in ("<", ">"):
            op = here + ("=" if self._text[self._at + 1 : self._at + 2] == "=" else "")
            self._at += len(op)
            return Compare(field, op, self._bound_value(f"after `{op}`", field))
        start = self._at
        value = self._value(in_field=True)
        if value.keyword in ("and", "or", "not"):
            raise self._error(f"a value is missing after `{field}:`", at=start, hint=f"write {field}:value")
        raw = self._text[start : self._at]
        if not value.text.quoted and not value.escaped and ".." in raw and raw.strip(".") and not value.text.is_wild:
            return self._dots(field, raw, start)
        if value.text.parts == ("", ""):
            return Exists(field)
        return Match(field, value.text)

    def _dots(self, field: str, raw: str, start: int) -> Query:
        low, _, high = raw.partition("..")
        if ".." in high:
            raise self._error("a range has two ends", at=start, length=len(raw), hint=f"write {field}:100..200")
        return Range(field, low or None, high or None)

    def _bracket(self, field: str) -> Query:
        start = self._at
        self._at += 1
        low = self._bound_value("after `[`", field)
        if not self._keyword("to"):
            raise self._error("`TO` is missing", hint=f"write {field}:[100 TO 200]")
        high = self._bound_value("after `TO`", field)
        if self._peek() != "]":
            raise self._error("the [ is never closed", at=start, hint=f"write {field}:[100 TO 200]")
        self._at += 1
        return Range(field, None if low == "*" else low, None if high == "*" else high)

    def _bound_value(self, where: str, field: str) -> str:
        """`*` (unquoted) is handed on as it is; a text that is `*` cannot be a bound."""
        if self._peek() in ("", ")", "]", "["):
            raise self._error(f"a value is missing {where}", hint=f"write {field}:>500 or {field}:[100 TO 200]")
        start = self._at
        value = self._value(in_field=True)
        if value.text.is_wild and value.text.parts != ("", ""):
            raise self._error("an end of a range has no wildcard", at=start, length=self._at - start,
                              hint="write the value itself")  # fmt: skip
        return value.text.plain

    # -- characters -----------------------------------------------------------------------------------------------------

    def _value(self, *, in_field: bool = False) -> _Value:
        if self._peek() == '"':
            return self._quoted(in_field)
        start, parts, escaped = self._at, [""], False
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in _ENDS or (char == ":" and not in_field):
                break
            self._at += 1
            if char == "*":
                parts.append("")
                continue
            if char == "\\":
                char, escaped = self._text[self._at : self._at + 1], True
                if not char:
                    raise self._error("a \\ at the end stands for nothing", at=start, hint=r"write \\ for a backslash")
                self._at += 1
            parts[-1] += char
        if self._at == start:
            here = self._text[start : start + 1]
            raise self._error(
                f"`{here}` cannot stand here" if here else "something is missing at the end",
                hint=f'put it in quotes: "{here}"' if here else "write what is searched for",
            )
        return _Value(Text(tuple(parts)), start, self._at, not in_field and self._colon(), escaped)

    def _quoted(self, in_field: bool) -> _Value:
        start = self._at
        self._at += 1
        found = ""
        while (char := self._text[self._at : self._at + 1]) != '"':
            if not char:
                raise self._error('the " is never closed', at=start, hint='add a "; write \\" for one inside')
            if char == "\\":
                self._at += 1
                char = self._text[self._at : self._at + 1]
            found += char
            self._at += 1
        self._at += 1
        return _Value(Text((found,), quoted=True), start, self._at, not in_field and self._colon())

    def _colon(self) -> bool:
        there = self._text[self._at : self._at + 1] == ":"
        self._at += there
        return there

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _is_keyword(self, word: str) -> bool:
        start = self._at
        found = self._keyword(word)
        self._at = start
        return found

    def _keyword(self, word: str) -> bool:
        """Take it if it comes next, as a word of its own."""
        self._peek()
        end = self._at + len(word)
        after = self._text[end : end + 1]
        if self._text[self._at : end].lower() != word or (after and after not in _ENDS):
            return False
        self._at = end
        return True

    def _error(self, message: str, *, at: int | None = None, length: int = 1, hint: str = "") -> SearchError:
        start = self._at if at is None else at
        before = self._text[:start]
        line = before.count("\n") + 1
        return SearchError(
            message, line=line, column=start - (before.rfind("\n") + 1) + 1, length=max(1, length), hint=hint
        )
