"""The page's types of the HTTP API are those of the node's document."""

from __future__ import annotations

import shutil

import pytest

from tools import api_types


def test_the_types_are_made_from_the_document_of_now() -> None:
    assert api_types.TYPES.read_text(encoding="utf-8").startswith(api_types.head()), "run: make types"


def test_the_types_are_as_they_were_made() -> None:
    if shutil.which("node") is None or not api_types.GENERATOR.is_file():
        pytest.skip("needs Node on PATH and web/node_modules (npm ci)")
    assert api_types.TYPES.read_text(encoding="utf-8") == api_types.head() + api_types.generated()
