"""What commands print: results on standard output, everything about the doing on standard error."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
DONE, BAD_ANSWER, WRONG_USAGE, UNAVAILABLE = 0, 1, 2, 3
WIDTH_WITHOUT_TERMINAL = 160


def console(*, stderr: bool = False) -> Console:
    """For people: colours and boxes on a terminal, plain text without."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Piped(file=stream, width=width, highlight=False)


def ending_with_reader(command: Callable[P, None]) -> Callable[P, None]:
    """`command`, but whoever reads its output may go when he has seen enough, as in `tailrace tail | head`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _print_nowhere()

    return run


@contextmanager
def to_reader() -> Iterator[None]:
    """What is printed inside goes as far as somebody reads it; the command goes on to its exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _print_nowhere()


def _print_nowhere() -> None:
    """What is still buffered goes nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """One line of JSON, written out at once."""
    import json

    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def fail(error: TailraceError, *, as_json: bool) -> None:
    """Say what went wrong and what to do next; where it came from only with `--debug`."""
    if os.environ.get("TAILRACE_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    if as_json:
        import json

        print(json.dumps(error.as_json(), ensure_ascii=False), file=sys.stderr)
        return
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.hint:
        out.print(Text.assemble(("  try: ", "bold"), error.hint))
