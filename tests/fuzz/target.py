"""What a target of the fuzzer is, and what it means that an input is a finding."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import msgspec

from tailrace.errors import Invalid, TailraceError

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
FOUND = Path(__file__).with_name("found")
"""Inputs that were findings once, a folder for each target: regression cases."""
SECONDS_MAX = 20.0
"""For one input, on a slow and loaded machine. An honest one takes milliseconds."""


@dataclass(frozen=True)
class Target:
    """`run` is given bytes and holds its own oracle: it fails by an assertion, or by raising anything but `refuses`.

    `seeds`: inputs to begin with. `words`: pieces of the language, for mutations. `bytes_max`: no longer inputs are tried.
    """

    name: str
    about: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    refuses: type[TailraceError] = Invalid
    bytes_max: int = 4096

    def found(self) -> list[Path]:
        folder = FOUND / self.name
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


class TooSlowError(AssertionError):
    """An input took longer than any honest one may."""


def check(target: Target, data: bytes) -> None:
    """Run one input. Returns if it was read, or refused as promised; raises what is wrong otherwise."""
    with bounded(SECONDS_MAX):
        judge(target, data)


def judge(target: Target, data: bytes) -> None:
    """The same, however long it takes."""
    try:
        target.run(data)
    except target.refuses as error:
        check_refusal(error)


def check_refusal(error: TailraceError) -> None:
    """It can be told in the one error shape, in a message of a size that a person can read."""
    told = msgspec.json.decode(msgspec.json.encode(error.as_json()))["error"]
    assert told.keys() == {"code", "message", "hint"}
    assert told["message"].strip(), "an error without a message"
    assert len(told["message"]) < 20_000, "an error message that nobody can read"


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TooSlowError in the block once it has taken so long. For the main thread; native code is only stopped on its return."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds:.0f} s for one input")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempted(run: Callable[[], T], kind: type[E]) -> tuple[T, None] | tuple[None, E]:
    """What `run` gives, or the error of that kind that it raises."""
    try:
        return run(), None
    except kind as error:
        return None, error


def text_of(data: bytes) -> str:
    """As an HTTP parameter is read: what is no UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")
