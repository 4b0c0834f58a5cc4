"""The patches of `make mutations` still apply, each names a test that is there, and there are enough of them."""

from __future__ import annotations

import pytest

from tests.mutations.run import ROOT, Mutation, apply, mutations

LEAST = 14


def test_there_are_enough() -> None:
    assert len(mutations()) >= LEAST
    assert len({mutation.rule for mutation in mutations()}) >= LEAST


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_it_applies_and_its_test_is_there(mutation: Mutation) -> None:
    apply(mutation, ROOT, check=True)
    path, _, case = mutation.test.partition("::")
    text = (ROOT / path).read_text()
    assert not case or f"def {case}(" in text
    assert mutation.rule.endswith(".")
