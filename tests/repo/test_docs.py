"""What the pages say exists, exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.repo.files import ROOT, repository_files

PAGES = sorted(file.relative_to(ROOT) for file in repository_files() if file.suffix == ".md")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([a-z][a-z-]*):.*?## ", re.MULTILINE)


def page(name: str | Path) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands_in(text: str) -> str:
    """The code of a page: fenced blocks and spans in backticks."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_links_lead_to_files_that_exist(name: Path) -> None:
    text = re.sub(r"```.*?```", "", page(name), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if target and not (ROOT / name.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_links_into_a_page_lead_to_a_heading(name: Path) -> None:
    text = page(name)
    for target in LINK.findall(text):
        file, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            headings = re.findall(r"^#+ (.*)$", page(name.parent / file) if file else text, re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_make_commands_exist(name: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", commands_in(page(name))))
    assert named <= set(TARGET.findall(page("Makefile")))


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", page("Makefile"), re.MULTILINE)
    assert phony
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in phony.group(1).split() if f"make {target}" not in printed] == []


def test_the_decision_index_lists_every_record() -> None:
    records = sorted(file.name for file in (ROOT / "docs/adr").glob("[0-9]*.md"))
    listed = LINK.findall(page("docs/adr/README.md"))
    assert [target for target in listed if target != "template.md"] == records


@pytest.mark.parametrize("record", sorted((ROOT / "docs/adr").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_record_has_its_four_parts(record: Path) -> None:
    headings = re.findall(r"^## (.*)$", record.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Rejected", "Consequence"]
