"""Write the reference of the command line from the program itself.

python tools/cli_reference.py docs/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """# Commands

Generated from the program; `make docs` writes it anew. `tailrace COMMAND --help` says the same.

Exit codes: 0 done, 1 the answer is bad, 2 wrong usage, 3 unavailable.
"""


def program() -> Any:
    """The root command, as typer builds it."""
    from typer.main import get_command

    from tailrace.cli.main import app

    return get_command(app)


def commands(command: Any, name: str = "tailrace") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name, in the order of the help."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    if getattr(command, "invoke_without_command", False) and name != "tailrace":
        yield name, command
    for word, child in below.items():
        if not child.hidden:
            yield from commands(child, f"{name} {word}")


def arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def options(command: Any) -> list[Any]:
    """Options but `--help`, hidden ones left out."""
    shown = [
        parameter for parameter in command.params if parameter.param_type_name == "option" and not parameter.hidden
    ]
    return [option for option in shown if "--help" not in option.opts]


def section(name: str, command: Any) -> str:
    words = [name, *(f"[{a.name.upper()}]" if not a.required else a.name.upper() for a in arguments(command))]
    usage = " ".join([*words, *(["[OPTIONS]"] if options(command) else [])])
    parts = [f"## {name}", f"`{usage}`", paragraphs(command.help)]
    rows = [row(f"`{a.name.upper()}`", a.help, None) for a in arguments(command) if a.help]
    rows += [row(spelling(option), option.help, default(option)) for option in options(command)]
    if rows:
        parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]))
    return "\n\n".join(part for part in parts if part)


def paragraphs(text: str | None) -> str:
    return (text or "").replace("\f", "").strip()


def spelling(option: Any) -> str:
    names = " ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


def default(option: Any) -> str | None:
    value = option.default
    if option.is_flag or value is None or callable(value) or value == "" or value == []:
        return None
    return f"`{getattr(value, 'value', value)}`"


def row(name: str, text: str | None, value: str | None) -> str:
    cells = (name, " ".join((text or "").split()), value or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def reference() -> str:
    return "\n".join([HEAD, *(section(name, command) + "\n" for name, command in commands(program()))])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
