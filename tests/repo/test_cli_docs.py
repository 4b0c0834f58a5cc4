"""The commands and addresses that the pages name are those of the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.repo.files import ROOT
from tests.repo.test_docs import PAGES, commands_in, page
from tools import cli_reference

COMMANDS = dict(cli_reference.commands(cli_reference.program()))


def test_the_reference_is_what_the_program_says() -> None:
    assert page("docs/cli.md") == cli_reference.reference(), "run: make docs"


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_commands_and_their_options_exist(name: Path) -> None:
    for line in re.findall(r"(?:^|\s)tailrace ([a-z][^\n#|&]*)", commands_in(page(name)), re.MULTILINE):
        words = shlex.split(line.replace("[", "").replace("]", ""))
        path = "tailrace"
        while words and f"{path} {words[0]}" in prefixes():
            path = f"{path} {words.pop(0)}"
        assert path != "tailrace", f"`tailrace {line}` names no command"
        options = cli_reference.options(COMMANDS[path]) if path in COMMANDS else []
        known = {spelling for option in options for spelling in [*option.opts, *option.secondary_opts, "--help"]}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, f"`tailrace {line}` uses options that do not exist"


@pytest.mark.parametrize("target", ["demo", "up"])
def test_make_starts_commands_that_exist(target: str) -> None:
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", page(ROOT / "Makefile"), re.MULTILINE)
    assert recipe
    command = re.search(r"/tailrace ([a-z]+)", recipe.group(1))
    assert command
    assert f"tailrace {command.group(1)}" in COMMANDS


def prefixes() -> set[str]:
    """Names of all commands and groups."""
    return {" ".join(name.split()[: count + 1]) for name in COMMANDS for count in range(1, len(name.split()))}
