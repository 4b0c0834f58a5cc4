"""What no file of the repository may contain, and what every module must."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.repo.files import ROOT, repository_files, repository_texts

# Spelled in pieces, so that this file does not find itself.
HOME_FOLDERS = re.compile(
    r"(?<![\w.])/(?:" + "|".join(["work", "root", "home/[a-z]+", "Users/[A-Za-z]+", "tmp/[a-z]+"]) + r")/"
)
LEFT_UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
CODE = {".py", ".ts", ".svelte", ".js", ".sql", ".css", ".html"}


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = [f"{path}: {line.strip()[:100]}" for path, line in lines() if HOME_FOLDERS.search(line)]
    assert found == []


def test_no_code_is_marked_unfinished() -> None:
    found = [
        f"{path}: {line.strip()}" for path, line in lines() if path.suffix in CODE and LEFT_UNFINISHED.search(line)
    ]
    assert found == []


def test_no_built_or_large_file_is_committed() -> None:
    found = {str(file.relative_to(ROOT)): file.stat().st_size for file in repository_files()}
    large = {name: size for name, size in found.items() if size > 1_000_000}
    assert large == {}
    built = [name for name in found if name.startswith("src/tailrace/dashboard/static/") or "node_modules/" in name]
    assert built == []


@pytest.mark.parametrize("name", ["utils", "util", "helpers", "helper", "manager", "common", "misc"])
def test_no_module_is_named_for_nothing(name: str) -> None:
    found = [str(file) for file in repository_files() if file.suffix == ".py" and file.stem == name]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    modules = [file for file in repository_files() if file.suffix == ".py" and file.stat().st_size > 0]
    silent = [str(file.relative_to(ROOT)) for file in modules if not ast.get_docstring(ast.parse(file.read_bytes()))]
    assert silent == []


def lines() -> list[tuple[Path, str]]:
    skipped = {"uv.lock", "package-lock.json"}
    texts = {path: text for path, text in repository_texts().items() if path.name not in skipped}
    return [(path, line) for path, text in texts.items() for line in text.splitlines()]
