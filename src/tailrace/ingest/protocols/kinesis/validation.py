"""Whether the input of an operation is what AWS's model wants, and if not, AWS's words for it. Pure.

Values of the wrong type are told first, one at a time (SerializationException); then all constraints that are not kept, together
(ValidationException). Members that the model does not know are left out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tailrace.ingest.protocols.kinesis.api import Shape, api
from tailrace.ingest.protocols.kinesis.errors import KinesisError, serialization, validation

_NAMED_MAX = 10


def checked(operation: str, value: Any) -> dict[str, Any]:
    """The input, blobs as bytes, timestamps as whole milliseconds. Raises SerializationException or ValidationException."""
    shape = api().operations[operation].input
    typed: dict[str, Any] = _typed(shape, value)
    problems = list(_problems(shape, typed, ""))
    if problems:
        count = len(problems)
        listed = "; ".join(problems[:_NAMED_MAX])
        raise validation(f"{count} validation error{'s' if count > 1 else ''} detected: {listed}")
    return typed


# -- types ---------------------------------------------------------------------------------------------------------


def _typed(name: str, value: Any) -> Any:
    shape = api().shapes[name]
    match shape.type:
        case "structure":
            _expect(isinstance(value, Mapping), value, "a Structure")
            members = shape.members
            return {k: _typed(members[k], v) for k, v in value.items() if k in members and v is not None}
        case "list":
            _expect(isinstance(value, list), value, "a Collection")
            return [None if each is None else _typed(shape.member, each) for each in value]
        case "map":
            _expect(isinstance(value, Mapping), value, "a Map")
            return {_typed(shape.key, k): _typed(shape.value, v) for k, v in value.items() if v is not None}
        case "string":
            _expect(isinstance(value, str), value, "a String")
            return value
        case "integer" | "long":
            return _integer(value, shape)
        case "boolean":
            _expect(isinstance(value, bool), value, "a Boolean")
            return value
        case "timestamp":
            return _milliseconds(value)
        case _:
            return _blob(value)


def _expect(right: bool, value: Any, wanted: str) -> None:
    if not right:
        raise serialization(f"{_kind(value)} can not be converted to {wanted}")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "NULL_VALUE"
        case bool():
            return "TRUE_VALUE" if value else "FALSE_VALUE"
        case int():
            return "NUMBER_VALUE"
        case float():
            return "DECIMAL_VALUE"
        case str():
            return "STRING_VALUE"
        case bytes():
            return "BLOB_VALUE"
        case list():
            return "Start of list"
        case _:
            return "Start of structure or map"


def _integer(value: Any, shape: Shape) -> int:
    _expect(
        isinstance(value, int | float) and not isinstance(value, bool),
        value,
        "an Integer" if shape.type == "integer" else "a Long",
    )
    bits = 31 if shape.type == "integer" else 63
    if value != value or not -(1 << bits) <= value < 1 << bits:
        raise serialization(f"NUMBER_VALUE can not be converted to {'an Integer' if bits == 31 else 'a Long'}")
    return int(value)


def _milliseconds(value: Any) -> int:
    """`value`: seconds, as JSON has them, or an `Instant` that CBOR gave."""
    if isinstance(value, Instant):
        return value.ms
    _expect(isinstance(value, int | float) and not isinstance(value, bool), value, "a Timestamp")
    if value != value or abs(value) > 1 << 48:
        raise serialization("NUMBER_VALUE can not be converted to a Timestamp")
    return round(float(value) * 1000)


class Instant:
    """A time as CBOR carries it: whole milliseconds since 1970."""

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        self.ms = ms


def _blob(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    _expect(isinstance(value, str), value, "a Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise serialization(f"STRING_VALUE can not be converted to a Blob: {error}") from error


# -- constraints ---------------------------------------------------------------------------------------------------


def _problems(name: str, value: Any, path: str) -> Iterator[str]:
    shape = api().shapes[name]
    match shape.type:
        case "structure":
            for member, inner in shape.members.items():
                at = f"{path}.{_lower(member)}" if path else _lower(member)
                if member in value:
                    yield from _problems(inner, value[member], at)
                elif member in shape.required:
                    yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
        case "list":
            yield from _length(shape, value, path)
            for number, each in enumerate(value, 1):
                at = f"{path}.{number}.member"
                if each is None:
                    yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
                else:
                    yield from _problems(shape.member, each, at)
        case "map":
            yield from _length(shape, value, path)
            for key, each in value.items():
                yield from _problems(shape.key, key, f"{path}.{key[:128]}.key")
                yield from _problems(shape.value, each, f"{path}.{key[:128]}.member")
        case "string" | "blob":
            too_long = list(_length(shape, value, path))
            yield from too_long
            if shape.pattern and not too_long and not _pattern(shape.pattern).fullmatch(value):
                yield f"{_failed(value, path)}: Member must satisfy regular expression pattern: {shape.pattern}"
            if shape.enum and value not in shape.enum:
                yield f"{_failed(value, path)}: Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        case "integer" | "long":
            if shape.max is not None and value > shape.max:
                yield f"{_failed(value, path)}: Member must have value less than or equal to {shape.max}"
            if shape.min is not None and value < shape.min:
                yield f"{_failed(value, path)}: Member must have value greater than or equal to {shape.min}"


def _length(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.max is not None and len(value) > shape.max:
        yield f"{_failed(value, path)}: Member must have length less than or equal to {shape.max}"
    if shape.min is not None and len(value) < shape.min:
        yield f"{_failed(value, path)}: Member must have length greater than or equal to {shape.min}"


def _failed(value: Any, path: str) -> str:
    shown = value[:256] if isinstance(value, str) else value if isinstance(value, int) else f"of length {len(value)}"
    return f"Value '{shown}' at '{path}' failed to satisfy constraint"


def _lower(member: str) -> str:
    return member[:1].lower() + member[1:]


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def dry_run() -> KinesisError:
    """What an operation with `DryRun` answers instead of doing its work."""
    return KinesisError("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
