"""Search -> condition over the record's fields, checked as a view's are, so that no text of a user's becomes SQL but as a literal.

What each form means:
    word, "a phrase"   in any text or whole-number field or in `extra`, as whole words, case alike; `*` is the rest of a word
    field:value        the whole value, case alike; in quotes exactly; `*` is any text; in `message` whole words, as free text
A record that has not the field fulfils nothing that is asked of it, and so everything that is asked with `not`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from tailrace.errors import Invalid
from tailrace.model.fields import EXTRA, Fields
from tailrace.model.window import iso, parse_iso
from tailrace.serving.search.parse import parse_search
from tailrace.serving.search.tree import (
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
from tailrace.views.expression import (
    BOOLEAN,
    RAW_MAX,
    TEXT,
    Call,
    Column,
    Expression,
    ExtraText,
    Literal,
    Type,
    decimal,
    integer,
)
from tailrace.views.scope import RecordScope, nearest

PROSE = frozenset({"message"})
"""Fields whose values are sentences: asked for by their words."""
_WORD = r"0-9a-z_\x{80}-\x{10FFFF}"
_EXTRA_SCALE = 6
_OPS = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
_TRUE, _FALSE = Literal(True, BOOLEAN), Literal(False, BOOLEAN)


def bind_search(query: Query, fields: Fields, source: str = "") -> Expression | None:
    """The condition; None for everything. `source`: the text of the search, to say in it where a mistake is. Raises SearchError."""
    if isinstance(query, Everything):
        return None
    return _Binder(fields, source).bind(query)


def compile_search(text: str, fields: Fields) -> tuple[Query, Expression | None]:
    """Parsed and bound. Raises SearchError."""
    query = parse_search(text)
    return query, bind_search(query, fields, text)


class _Binder:
    def __init__(self, fields: Fields, source: str) -> None:
        self._fields = fields
        self._scope = RecordScope(fields)
        self._source = source

    def bind(self, query: Query) -> Expression:
        match query:
            case Everything():
                return _TRUE
            case And(of):
                return Call("and", tuple(self.bind(each) for each in of), BOOLEAN)
            case Or(of):
                return Call("or", tuple(self.bind(each) for each in of), BOOLEAN)
            case Not(of):
                return Call("case", (self.bind(of), _FALSE, _TRUE), BOOLEAN)
            case Words(text):
                return self._anywhere(text)
            case Exists(field):
                return Call("not", (Call("is_null", (self._read(field),), BOOLEAN),), BOOLEAN)
            case Match(field, text):
                return self._match(field, text)
            case Compare(field, op, value):
                return self._compare(field, _OPS[op], value)
            case Range(field, low, high):
                return self._range(field, low, high)

    def _anywhere(self, text: Text) -> Expression:
        texts: list[Expression] = []
        for column in self._columns():
            if column.type.kind == "text":
                texts.append(_has_words(column, text))
            elif column.type.kind == "integer":
                if text.is_wild:
                    texts.append(_has_words(Call("to_text", (column,), TEXT), text))
                elif (number := _whole(text.plain)) is not None:
                    texts.append(Call("eq", (column, Literal(number, integer(RAW_MAX))), BOOLEAN))
        texts.append(_has_words(Column(EXTRA, TEXT), text))
        return Call("or", tuple(texts), BOOLEAN)

    def _columns(self) -> list[Column]:
        found = (self._scope.column(name) for name in self._fields.names)
        return [column for column in found if column is not None]

    def _match(self, field: str, text: Text) -> Expression:
        read = self._read(field)
        if read.type.kind == "text":
            if isinstance(read, Column) and read.name in PROSE:
                return _has_words(read, text)
            return _is_text(read, text)
        if text.is_wild:
            if not read.type.is_number:
                raise self._error(field, f"`{field}` is a time, which has no wildcard", f"write {field}:[... TO ...]")
            return _is_text(Call("to_text", (read,), TEXT), text)
        return Call("eq", (read, self._literal(field, text.plain, read.type)), BOOLEAN)

    def _compare(self, field: str, op: str, value: str) -> Expression:
        read = self._read(field)
        if isinstance(read, ExtraText):
            kind = decimal(_EXTRA_SCALE, RAW_MAX)
            return Call(op, (Call("to_decimal", (read,), kind), self._literal(field, value, kind)), BOOLEAN)
        return Call(op, (read, self._literal(field, value, read.type)), BOOLEAN)

    def _range(self, field: str, low: str | None, high: str | None) -> Expression:
        ends = [self._compare(field, op, end) for op, end in (("ge", low), ("le", high)) if end is not None]
        if not ends:
            return self.bind(Exists(field))
        return ends[0] if len(ends) == 1 else Call("and", tuple(ends), BOOLEAN)

    def _read(self, field: str) -> Column | ExtraText:
        column = self._scope.column(field)
        if column is not None:
            return column
        path = tuple(field.removeprefix(f"{EXTRA}.").split("."))
        if field == EXTRA or not all(path):
            raise self._error(field, f"`{field}` is no field", "write the name of one value in it: extra.name:value")
        return ExtraText(path)

    def _literal(self, field: str, text: str, kind: Type) -> Literal:
        """What a value is compared with, in the field's type."""
        if kind.kind == "text":
            return Literal(text, TEXT)
        if kind.kind == "timestamp":
            return self._instant(field, text, kind)
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            near = nearest(text, self._fields.names)
            hint = f"write a number: {field}:500, {field}:>500 or {field}:[100 TO 200]"
            raise self._error(
                text, f"`{field}` is a number and `{text}` is none", f"did you mean {near}:?" if near else hint
            )
        scale = max(0, -int(number.normalize().as_tuple().exponent)) if number else 0
        if number and (number.adjusted() > 17 or len(number.normalize().as_tuple().digits) > 18 or scale > 18):
            raise self._error(text, f"`{text}` has too many digits", "write at most 18")
        whole = int(number.scaleb(scale))
        return Literal(whole, decimal(scale, abs(whole)) if scale else integer(RAW_MAX))

    def _instant(self, field: str, text: str, kind: Type) -> Literal:
        try:
            return Literal(iso(parse_iso(text)), kind)
        except (Invalid, OverflowError) as error:
            raise self._error(text, f"`{text}` is not a time", f"write {field}:>2026-11-23T10:00:00Z") from error

    def _error(self, near: str, message: str, hint: str) -> SearchError:
        start = max(0, self._source.find(near))
        line = self._source.count("\n", 0, start) + 1
        column = start - (self._source.rfind("\n", 0, start) + 1) + 1
        return SearchError(message, line=line, column=column, length=max(1, len(near)), hint=hint)


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and str(int(text)) == text else None


def _has_words(read: Expression, text: Text) -> Expression:
    """Cheap first: most values do not have the longest part at all."""
    lowered = Call("lower", (read,), TEXT)
    longest = max(text.parts, key=len).lower()
    matches = Call("regexp_matches", (lowered, Literal(words_pattern(text), TEXT)), BOOLEAN)
    return Call("case", (Call("contains", (lowered, Literal(longest, TEXT)), BOOLEAN), matches, _FALSE), BOOLEAN)


def words_pattern(text: Text) -> str:
    """RE2 over lower-case text: the words, bounded by what is no part of a word. `*` is any run of a word's characters."""
    body = f"[{_WORD}]*".join(re_quoted(part.lower()) for part in text.parts)
    first, last = text.parts[0].lower()[:1], text.parts[-1].lower()[-1:]
    start = f"(?:^|[^{_WORD}])" if is_word(first) else ""
    end = f"(?:$|[^{_WORD}])" if is_word(last) else ""
    return f"{start}{body}{end}"


def is_word(char: str) -> bool:
    """Whether a (lower-case) character is part of a word."""
    return bool(char) and (char in "0123456789abcdefghijklmnopqrstuvwxyz_" or ord(char) >= 0x80)


def re_quoted(text: str) -> str:
    r"""As RE2 reads it: `\` before a character that is no letter, digit or beyond ASCII."""
    return "".join(char if is_word(char) else f"\\x{{{ord(char):x}}}" for char in text)


def _is_text(read: Expression, text: Text) -> Expression:
    if text.quoted:
        return Call("eq", (read, Literal(text.plain, TEXT)), BOOLEAN)
    lowered = Call("lower", (read,), TEXT)
    if not text.is_wild:
        return Call("eq", (lowered, Literal(text.plain.lower(), TEXT)), BOOLEAN)
    if len(text.parts) == 2 and text.parts[1] == "":
        return Call("starts_with", (lowered, Literal(text.parts[0].lower(), TEXT)), BOOLEAN)
    pattern = r"[\x{0}-\x{10FFFF}]*".join(re_quoted(part.lower()) for part in text.parts)
    return Call("regexp_full_match", (lowered, Literal(pattern, TEXT)), BOOLEAN)
